"""`/v1/images`: one image as a pure function of artifact and URL, or as many as a JSON body asks for."""

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator, Iterator
from functools import lru_cache, partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from wgan.serve.base.errors import ConfigError
from wgan.serve.base.terminal import say
from wgan.serve.http.images.asked import Asked, in_fields, of_body, of_url
from wgan.serve.http.images.chosen import Chosen, choose
from wgan.serve.http.images.encoding import FORMATS, ONE, PART, Body, has_webp
from wgan.serve.http.limits.refusals import Gone, Refusal
from wgan.serve.http.limits.settings import Settings
from wgan.serve.http.queue.model import Model
from wgan.serve.http.queue.service import Service
from wgan.serve.http.queue.versions import versions
from wgan.serve.http.queue.wanted import Wanted

YEAR = 31_536_000  # seconds
ENDINGS = tuple(name for name, format in FORMATS.items() if format.holds == ONE)


def routes(service: Service) -> list[BaseRoute]:
    """Those of images."""
    return [
        *(Route(f"/v1/images/{{seed}}.{ending}", _OfUrl(service, ending), methods=["GET"]) for ending in ENDINGS),
        Route("/v1/images", partial(_post, service), methods=["POST"]),
    ]


class _OfUrl:
    """`_get` as an ASGI application: what Starlette puts around a function takes longer than what is in it.

    The `Guard` answers what it raises.
    """

    def __init__(self, service: Service, ending: str):
        self._service, self._ending = service, ending

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        reply = await _get(self._service, self._ending, Request(scope, receive))
        await reply(scope, receive, send)


async def _get(service: Service, ending: str, request: Request) -> Response:
    """One image. HEAD and a request that has it already make none."""
    model = service.model
    asked = of_url(request, ending, model.backend.metadata)
    if asked.pin is not None and not model.backend.digest.startswith(asked.pin):
        raise Refusal.not_found(f"model: {asked.pin} is not served here, but {model.backend.digest}")
    body = _body(model, asked, _choose(model, asked))
    headers = {
        "etag": _tag(model, body),
        "cache-control": _cache_control(service.settings, asked),
        "x-wgan-model": model.backend.digest,
    }
    if _has(request, headers["etag"]):
        return Response(status_code=304, headers=headers)
    media = FORMATS[ending].media
    if request.method == "HEAD":
        reply = Response(media_type=media, headers=headers)
        del reply.headers["content-length"]  # it is known only when the image is made
        return reply
    data = await service.make(request, model, body.chosen.part(0, 1), body.whole)
    return Response(data, media_type=media, headers=headers)


async def _post(service: Service, request: Request) -> Response:
    """Any number of images, streamed where they are many."""
    model = service.model
    asked = await of_body(request, model.backend.metadata, service.settings)
    # the way between two seeds takes its time: other requests go on meanwhile
    way = asked.images.interpolate is not None
    chosen = await asyncio.to_thread(_choose, model, asked) if way else _choose(model, asked)
    body = _body(model, asked, chosen)
    headers = {"cache-control": "no-store", "x-wgan-model": model.backend.digest}
    if asked.format == "raw":
        headers["x-shape"] = ",".join(map(str, body.shape))
    media = FORMATS[asked.format].media
    if chosen.count > service.settings.max_n:
        parts = service.make_each(request, model, _parts(body))
        return await _streamed(request, body, parts, media, headers)
    wanted = await asyncio.to_thread(chosen.part, 0, chosen.count) if way else chosen.part(0, chosen.count)
    data = await service.make(request, model, wanted, body.whole)
    return Response(data, media_type=media, headers=headers)


def _choose(model: Model, asked: Asked) -> Chosen:
    try:
        return choose(asked.images, model.backend)
    except ConfigError as error:
        raise Refusal.bad(in_fields(str(error))) from None


def _body(model: Model, asked: Asked, chosen: Chosen) -> Body:
    if asked.format == "webp" and not has_webp():
        raise Refusal.bad("format: the server's Pillow was built without WebP, ask for png")
    return Body(asked.format, chosen, model.backend.metadata.image, model.text)


def _parts(body: Body) -> Iterator[tuple[Wanted, Any]]:
    for start in range(0, body.chosen.count, PART):
        end = min(start + PART, body.chosen.count)
        yield body.chosen.part(start, end), body.part(start, end)


def _tag(model: Model, body: Body) -> str:
    """A strong ETag of all on which the body's bytes depend."""
    backend = model.backend
    tag = _made_by(backend.digest, backend.name, backend.device, backend.provider).copy()
    tag.update(repr((body.format, body.text, body.chosen.canonical)).encode())
    return f'"{tag.hexdigest()[:32]}"'


@lru_cache(maxsize=8)
def _made_by(digest: str, name: str, device: str, provider: str | None) -> "hashlib._Hash":
    """What the tags of one generator begin with: half of a tag's time, once."""
    return hashlib.sha256(json.dumps([digest, name, device, provider, versions(name)]).encode())


def _cache_control(settings: Settings, asked: Asked) -> str:
    """For ever, unless another artifact may come under the same URL; for the client alone where it had a token."""
    if settings.watch and asked.pin is None:
        return "no-cache"
    return f"{'private' if settings.tokens else 'public'}, max-age={YEAR}, immutable"


def _has(request: Request, tag: str) -> bool:
    """Whether If-None-Match names it: `*`, or a list of tags, which are compared weakly (RFC 9110, 13.1.2)."""
    for line in request.headers.getlist("if-none-match"):
        for given in line.split(","):
            if given.strip() == "*" or given.strip().removeprefix("W/") == tag:
                return True
    return False


async def _streamed(
    request: Request, body: Body, parts: AsyncGenerator[bytes, None], media: str, headers: dict[str, str]
) -> Response:
    """The reply whose body is made as it is sent. Its first part is made here: what is refused has a status yet."""
    first = await anext(parts)
    if body.length is not None:
        headers["content-length"] = str(body.length)
    return _Stream(request, body, first, parts, media, headers)


class _Stream(Response):
    """A reply in parts. Where one cannot be made the connection is cut, so that no client takes it for whole."""

    def __init__(
        self,
        request: Request,
        body: Body,
        first: bytes,
        parts: AsyncGenerator[bytes, None],
        media: str,
        headers: dict[str, str],
    ):
        super().__init__(media_type=media, headers=headers)
        if body.length is None:
            del self.headers["content-length"]
        self._request, self._body, self._first, self._parts = request, body, first, parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends it. Ends without the last part where one failed, and where the client has gone."""
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            part, length = self._body.head + self._first, 0
            while True:
                length += len(part)
                await send({"type": "http.response.body", "body": part, "more_body": True})
                if await self._request.is_disconnected():
                    return
                try:
                    part = await anext(self._parts)
                except StopAsyncIteration:
                    break
            await send({"type": "http.response.body", "body": self._body.tail(length), "more_body": False})
        except (Refusal, Gone) as error:
            say(f"a streamed reply was cut: {error}")
        finally:
            await self._parts.aclose()
