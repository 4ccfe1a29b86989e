#!/usr/bin/env bash
# What only an NVIDIA GPU can show, stage by stage: `bash scripts/gpu_check.sh [STAGE ...]`; `--help` names the stages.
# Needs only Python 3.11 or newer with torch: no set-up, no network. PYTHON=... chooses another interpreter.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

python=python3
if [ -x "$root/.venv/bin/python" ]; then python=$root/.venv/bin/python; fi
python=${PYTHON:-$python}
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
  echo "gpu_check: $python is no Python 3.11 or newer: name one with PYTHON=/path/to/python" >&2
  exit 2
fi

PYTHONPATH="$root/scripts${PYTHONPATH:+:$PYTHONPATH}" exec "$python" -P -m gpu.check "$@"
