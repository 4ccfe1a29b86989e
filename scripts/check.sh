#!/usr/bin/env bash
# Format, lint and types, in under half a minute: `bash scripts/check.sh`.
# PYTHON=... chooses another interpreter than .venv's.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

python=${PYTHON:-.venv/bin/python}

for script in scripts/*.sh .ci/run; do
  bash -n "$script"
done
if command -v shellcheck >/dev/null; then
  shellcheck scripts/*.sh .ci/run
fi
"$python" -m ruff check .
"$python" -m ruff format --check .
bash scripts/linked.sh build/types
MYPYPATH=build/types:scripts "$python" -m mypy --strict -p wgan -p gpu -p fault_rounds
