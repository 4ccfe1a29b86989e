#!/usr/bin/env bash
# Makes a folder that holds the source as it installs, by links: `bash scripts/linked.sh FOLDER`.
# For tools that know packages by their folders alone: the type checker, and what reads the docstrings.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

folder=${1:?usage: linked.sh FOLDER}
rm -rf "$folder"
mkdir -p "$folder/wgan"
for entry in wgan/* serve training export; do
  ln -s "$PWD/$entry" "$folder/wgan/"
done
