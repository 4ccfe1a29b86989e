#!/usr/bin/env bash
# Trains the generator that is installed with the package, and puts it there: `bash scripts/train_builtin.sh`.
# Hours on a CPU, minutes on a GPU: `bash scripts/train_builtin.sh minutes=30`. A run that was stopped goes on.
# Faces are drawn, never downloaded, so anyone can make it again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

run=runs/builtin
if [ -e "$run/config.yaml" ]; then
  .venv/bin/wgan train --resume --run "$run" "$@"
else
  .venv/bin/wgan train --config faces-64 --run "$run" "$@"
fi
.venv/bin/wgan export --run "$run" --format onnx --precision fp16
mkdir -p serve/builtin
cp "$run/export/generator.fp16.onnx" serve/builtin/faces.onnx
.venv/bin/wgan sample -n 64 --model faces --out "$run/faces.png"
