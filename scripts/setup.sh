#!/usr/bin/env bash
# Makes, repairs or brings up to date .venv: `bash scripts/setup.sh EXTRAS` (for example dev, or train,trt-rtx).
# Uses uv where it is on PATH, plain venv and pip elsewhere. PYTHON=... chooses the interpreter of a new .venv.
# Quick when nothing has changed. Extras add up: what one call installed, another does not remove.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

extras=${1:?usage: setup.sh EXTRAS}
venv=.venv
python=$venv/bin/python
installed=$venv/.wgan-installed     # a line for each set of extras: checksum of what decided it, extras
unfinished=$venv/.wgan-unfinished   # there while an installer is at work

say() { printf 'setup: %s\n' "$*" >&2; }
die() { say "$*"; exit 2; }

is_python() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

find_python() {
  local candidate
  if [ -n "${PYTHON:-}" ]; then
    is_python "$PYTHON" || die "PYTHON=$PYTHON is not a Python 3.11 or newer"
    printf '%s\n' "$PYTHON"
    return
  fi
  for candidate in python3.12 python3.11 python3; do   # run each: a version manager's shim may lead nowhere
    if is_python "$candidate"; then
      printf '%s\n' "$candidate"
      return
    fi
  done
  die "needs Python 3.11 or newer: install python3.12, or name one with PYTHON=/path/to/python"
}

make_venv() {
  local base
  base=$(find_python)
  rm -rf "$venv"
  if command -v uv >/dev/null; then
    uv venv -q --python "$base" "$venv"
  else
    "$base" -c 'import ensurepip, venv' 2>/dev/null \
      || die "$base has no venv module: install python3-venv (Debian, Ubuntu), or uv"
    "$base" -m venv "$venv"
  fi
  echo new > "$unfinished"
}

# install ARGUMENTS...: with whichever installer there is
install() {
  [ -e "$unfinished" ] || echo old > "$unfinished"
  if command -v uv >/dev/null; then
    uv pip install ${quiet:+"$quiet"} --python "$python" "$@"
  else
    "$python" -m pip --version >/dev/null 2>&1 || "$python" -m ensurepip >/dev/null
    # Compiling what is never imported costs more than a third of the time.
    "$python" -m pip install ${quiet:+"$quiet"} --no-compile --disable-pip-version-check "$@"
  fi
  rm -f "$unfinished"
}

# The folder counts too: the install holds its full path.
fingerprint() { { pwd; cat pyproject.toml setup.py constraints.txt; } | cksum | tr ' ' -; }

quiet=-qq   # errors alone
if [ -t 2 ]; then quiet=; fi

if [ -e "$unfinished" ] && [ "$(cat "$unfinished")" = new ]; then
  say "an earlier set-up was cut short: starting afresh"
  make_venv
elif ! is_python "$python"; then
  if [ -e "$venv" ]; then say "$venv is broken: making it anew"; fi
  make_venv
fi

state="$(fingerprint) $extras"
if ! grep -qxF "$state" "$installed" 2>/dev/null || [ -e "$unfinished" ]; then
  again=
  if [ -e "$unfinished" ] && [ "$(cat "$unfinished")" = old ]; then again=--force-reinstall; fi
  with=pip
  if command -v uv >/dev/null; then with=uv; fi
  say "installing wgan[$extras] into $venv with $with (from nothing: 6 GB, one to two minutes)"
  install ${again:+"$again"} -c constraints.txt -e ".[$extras]"
  { grep "^${state%% *} " "$installed" 2>/dev/null || true; echo "$state"; } > "$installed.new"
  mv "$installed.new" "$installed"
fi
