#!/usr/bin/env bash
# Runs the tests with the oldest packages that pyproject.toml allows: `bash scripts/test_floor.sh [pytest arguments]`.
# Makes .venv-floor, anew when pyproject.toml has changed. PYTHON=... chooses the interpreter [python3.12, else 3.11].
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

venv=.venv-floor
python=$venv/bin/python
installed=$venv/.wgan-installed   # checksum of what decided it

say() { printf 'test_floor: %s\n' "$*" >&2; }

is_python() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

base=
for candidate in ${PYTHON:+"$PYTHON"} python3.12 python3.11 python3; do
  if is_python "$candidate"; then
    base=$candidate
    break
  fi
  if [ "$candidate" = "${PYTHON:-}" ]; then break; fi   # the one that was asked for, and no other
done
if [ -z "$base" ]; then
  say "${PYTHON:+PYTHON=$PYTHON is no Python 3.11 or newer: }name a Python 3.11 or 3.12 with PYTHON=/path/to/python"
  exit 2
fi

state="$({ pwd; "$base" --version; cat pyproject.toml; } | cksum)"
if [ "$(cat "$installed" 2>/dev/null)" != "$state" ]; then
  say "installing the lower bounds of wgan[dev] into $venv (from nothing: 6 GB, one to two minutes)"
  rm -rf "$venv"
  "$base" -m venv "$venv"
  uv=uv   # pip alone has no choice of the lowest versions
  if ! command -v uv >/dev/null; then
    "$python" -m pip install -qq --disable-pip-version-check uv
    uv=$venv/bin/uv
  fi
  # Lowest of what pyproject.toml names; what those bring in is the newest that fits, as it is for a user.
  "$uv" pip install -q --python "$python" --resolution lowest-direct -e ".[dev]"
  echo "$state" > "$installed"
fi
# New source files get their links, as in setup.sh.
"$python" -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .

# The quickstart makes an environment of its own, of the versions in constraints.txt.
exec "$python" -m pytest -n auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder \
  --deselect tests/test_scripts.py::test_quickstart_ends_with_a_report "$@"
