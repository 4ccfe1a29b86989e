#!/usr/bin/env bash
# Runs everything that needs an NVIDIA GPU: `bash scripts/gpu_check.sh [names of checks]`, one table, one JSON line.
# Needs only Python 3.11 or newer with torch: no set-up, no network. PYTHON=... chooses another interpreter.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

python=python3
if [ -x .venv/bin/python ]; then python=.venv/bin/python; fi

# Links rather than an install: it needs no build tools, and a second run cannot meet the first one's code.
links=$(mktemp -d)
trap 'rm -rf "$links"' EXIT
mkdir "$links/wgan"
ln -s "$PWD/serve" "$PWD/training" "$PWD/export" "$links/wgan/"

PYTHONPATH="$links${PYTHONPATH:+:$PYTHONPATH}" "${PYTHON:-$python}" scripts/gpu_check.py "$@"
