#!/usr/bin/env bash
# Runs the tests, after setting up what they need: `bash scripts/test.sh [quick] [pytest arguments]`.
# quick: those that are not marked slow, for between two edits.
# A file of tests at a time on each core, 8 at most, those with slow tests first; `-n 0` runs them one after another.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

tier=()
if [ "${1:-}" = quick ]; then
  shift
  tier=(-m "not slow")
fi
bash scripts/setup.sh dev
if [ ${#tier[@]} -eq 0 ]; then   # a real Triton server, other runtimes; quick where they are there
  .venv/bin/python scripts/triton_real.py fetch >/dev/null \
    || echo "test: without a real Triton server: tests/export/test_triton_real.py is skipped" >&2
  .venv/bin/python scripts/interop_environments.py fetch >/dev/null \
    || echo "test: without some other runtimes: tests/interop skips what needs them" >&2
  .venv/bin/python scripts/web_runtime.py >/dev/null \
    || echo "test: without ONNX Runtime Web: the tests of exported pages are skipped" >&2
fi
exec .venv/bin/python -m pytest -n auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder --durations 10 \
  ${tier[@]+"${tier[@]}"} "$@"
