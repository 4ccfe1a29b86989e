#!/usr/bin/env bash
# What only an NVIDIA GPU can show, stage by stage: `bash scripts/gpu_check.sh [STAGE ...]`; `--help` names the stages.
# Needs only Python 3.11 or newer with torch: no set-up, no network. PYTHON=... chooses another interpreter.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

python=python3
if [ -x "$root/.venv/bin/python" ]; then python=$root/.venv/bin/python; fi

PYTHONPATH="$root/scripts${PYTHONPATH:+:$PYTHONPATH}" exec "${PYTHON:-$python}" -P -m gpu.check "$@"
