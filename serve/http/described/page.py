"""The page at `/`: one document with its style and its scripts inside, which loads nothing but this server's images."""

import hashlib
from functools import cache

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from wgan.serve.http.queue.service import Service
from wgan.serve.page.draw import files
from wgan.serve.page.style import digest


def routes(_: Service) -> list[BaseRoute]:
    """The page. It holds nothing of the model, so it needs no token: its script asks for one."""
    return [Route("/", _page, methods=["GET"])]


@cache
def document() -> bytes:
    """All of the page, in UTF-8."""
    return files.served().encode()


@cache
def policy() -> str:
    """What the page may do: run its own style and script, by their digests, and talk to its own server.

    Images arrive as blobs, since a failure's words and its Retry-After are read by `fetch` alone. The script makes
    no markup from text, which the last two directives see to.
    """
    script, sheet = digest(files.script("server")), digest(files.style_sheet("server"))
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src 'sha256-{script}'",
            f"style-src 'sha256-{sheet}'",
            "img-src 'self' blob:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        ]
    )


@cache
def _headers() -> dict[str, str]:
    return {
        "content-security-policy": policy(),
        "etag": f'"{hashlib.sha256(document()).hexdigest()[:32]}"',
        "cache-control": "no-cache",  # another wgan may have another page
        "cross-origin-opener-policy": "same-origin",
    }


async def _page(request: Request) -> Response:
    headers = _headers()
    known = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
    if known & {headers["etag"], "*"}:
        return Response(status_code=304, headers=headers)
    return Response(document(), media_type="text/html", headers=headers)
