#!/usr/bin/env bash
# Builds deploy/Dockerfile and tries what it makes: `bash scripts/try_image.sh`.
# ENGINE=podman (or "podman --runtime runc") in place of docker; OPTIONS="..." are more options of its `run`.
# IMAGE=name tries one that is built. It listens on 127.0.0.1:$PORT (8000) for some seconds, and nothing is left of it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

read -ra engine <<< "${ENGINE:-docker}"
read -ra options <<< "${OPTIONS:---publish 127.0.0.1:${PORT:-8000}:8000}"
name=wgan-try-$$
url=http://127.0.0.1:${PORT:-8000}
here=$(mktemp -d)
trap '"${engine[@]}" rm -f "$name" >/dev/null 2>&1 || true; rm -rf "$here"' EXIT

say() { printf 'try_image: %s\n' "$*" >&2; }
die() { say "$*"; "${engine[@]}" logs "$name" >&2 || true; exit 1; }

image=${IMAGE:-wgan:try}
if [ -z "${IMAGE:-}" ]; then
  "${engine[@]}" build -f deploy/Dockerfile -t "$image" .
fi

token=$(head -c 24 /dev/urandom | base64 | tr -d '+/=')
printf '%s\n' "$token" > "$here/token"
chmod 755 "$here"
chmod 644 "$here/token"

"${engine[@]}" run -d --name "$name" --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges \
  --volume "$here/token:/run/secrets/wgan_token:ro" "${options[@]}" "$image" >/dev/null

ready=no
for _ in $(seq 120); do
  if [ "$(curl -s -o /dev/null -w '%{http_code}' "$url/readyz")" = 200 ]; then
    ready=yes
    break
  fi
  sleep 0.5
done
[ "$ready" = yes ] || die "not ready after a minute"

code=$(curl -s -o /dev/null -w '%{http_code}' "$url/v1/images/7.png")
[ "$code" = 401 ] || die "an image without a token is answered with $code"
curl -sf -H "Authorization: Bearer $token" -o "$here/7.png" "$url/v1/images/7.png" || die "no image"
[ "$(head -c 4 "$here/7.png" | tail -c 3)" = PNG ] || die "what came is no PNG"

inside() { "${engine[@]}" exec "$name" "$@"; }
[ "$(inside id -u)" = 10001 ] || die "it runs as $(inside id -u)"
if inside touch /models/x 2>/dev/null; then die "its root can be written"; fi
inside python -c 'import importlib.util, sys; sys.exit(importlib.util.find_spec("torch") is not None)' || die "it has torch"

"${engine[@]}" stop -t 40 "$name" >/dev/null
code=$("${engine[@]}" inspect --format '{{.State.ExitCode}}' "$name")
[ "$code" = 0 ] || die "SIGTERM ends it with $code"
say "ready, an image for a token alone, user 10001, root read-only, no torch, SIGTERM to exit code 0: $image"
