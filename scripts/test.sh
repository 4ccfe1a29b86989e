#!/usr/bin/env bash
# Runs the tests, after setting up what they need: `bash scripts/test.sh [pytest arguments]`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bash scripts/setup.sh dev
exec .venv/bin/python -m pytest "$@"
