# What is done every day, by its short name: `make check`. Each is a script that runs by itself too.
.PHONY: help setup check format test test-all docs docs-serve bench

help:
	@echo 'make setup       .venv with everything that work on wgan needs'
	@echo 'make check       format, lint, types: under half a minute'
	@echo 'make format      mends what ruff can mend'
	@echo 'make test        the quick tier: under two minutes on two cores'
	@echo 'make test-all    every test'
	@echo 'make docs        the site, built strictly, into site/'
	@echo 'make docs-serve  the site at localhost:8000, built anew at every change'
	@echo 'make bench       the benchmarks, a few minutes'

setup:
	bash scripts/setup.sh dev

check:
	bash scripts/check.sh

format:
	.venv/bin/python -m ruff check --fix .
	.venv/bin/python -m ruff format .

test:
	bash scripts/test.sh quick

test-all:
	bash scripts/test.sh

docs:
	bash scripts/docs.sh

docs-serve:
	bash scripts/docs.sh serve

bench:
	.venv/bin/python scripts/bench_sampling.py --quick
	.venv/bin/python scripts/bench_fleet.py --quick
	.venv/bin/python scripts/bench_serving.py --quick
	.venv/bin/python scripts/bench_training.py --quick
	.venv/bin/python scripts/bench_data.py --quick
