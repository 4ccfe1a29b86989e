#!/usr/bin/env bash
# Runs the tests, after setting up what they need: `bash scripts/test.sh [pytest arguments]`.
# A file of tests at a time on each core, 8 at most; `-n 0` runs them one after another.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bash scripts/setup.sh dev
exec .venv/bin/python -m pytest -n auto --maxprocesses 8 --dist loadfile "$@"
