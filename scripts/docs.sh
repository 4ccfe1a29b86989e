#!/usr/bin/env bash
# Builds the documentation into site/, where a broken link is an error: `bash scripts/docs.sh [serve]`.
# `serve` shows it at localhost:8000 and builds it anew at every change. PYTHON=... chooses another interpreter.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

python=${PYTHON:-.venv/bin/python}
# Material for MkDocs would print a notice about MkDocs 2, which pyproject.toml rules out.
export NO_MKDOCS_2_WARNING=1

bash scripts/linked.sh build/api   # where mkdocs.yml has the API page read the sources

if [ "${1:-build}" = serve ]; then
  exec "$python" -m mkdocs serve --strict
fi
"$python" -m mkdocs build --strict --site-dir "${SITE:-site}"
echo "docs: ${SITE:-site}/index.html" >&2
