#!/usr/bin/env bash
# From a fresh clone to a page of generated faces: `bash scripts/quickstart.sh [options of wgan demo]`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

extras=train
case "$(uname -sm)" in
  "Linux x86_64" | MINGW*" x86_64" | MSYS*" x86_64") extras=train,trt-rtx ;;
  *) echo "quickstart: TensorRT has no package for $(uname -sm), so no engine will be built" >&2 ;;
esac

bash scripts/setup.sh "$extras"
exec .venv/bin/wgan demo "$@"
