"""What stands between the protocol and the routes: an id and a limit for each request, and a reply for each error.

Plain ASGI: one pass over the headers, one closure, no task and no copy.
"""

import time
import traceback
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wgan.serve.base.terminal import fault
from wgan.serve.http.guard.access import AccessLog
from wgan.serve.http.guard.bodies import Bodies, Incoming, linger
from wgan.serve.http.guard.hosts import Hosts
from wgan.serve.http.guard.ids import error_body, request_id
from wgan.serve.http.limits.refusals import Gone, Refusal
from wgan.serve.http.limits.tokens import Bearers
from wgan.serve.http.queue.metrics import route_of
from wgan.serve.http.queue.service import DRAINING, IMAGES, Service

OPEN = frozenset({"/", "/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"})  # without a token
LIMITS = frozenset({"host_not_allowed", "cross_site", "unauthorized", "too_large", "body_timeout", "bodies_full"})
GONE = 499  # what nginx counts where the client left before its answer
SECURITY = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
CLOSE = (b"connection", b"close")
_WATCHED = frozenset(
    {
        b"authorization",
        b"content-length",
        b"host",
        b"sec-fetch-dest",
        b"sec-fetch-mode",
        b"sec-fetch-site",
        b"transfer-encoding",
        b"x-request-id",
    }
)
_ONCE = frozenset({b"authorization", b"content-length", b"host"})
_EMBEDDED = frozenset({b"object", b"embed", b"iframe", b"frame"})

Headers = dict[bytes, bytes]


class Guard:
    """An ASGI application around the routes. There are no CORS headers: pages of other sites read nothing.

    Args:
        app: the routes; what they raise is answered here.
        service: its settings, metrics and state.
    """

    def __init__(self, app: ASGIApp, service: Service):
        settings = service.settings
        self._app, self._service, self._metrics = app, service, service.metrics
        self._bearers, self._hosts = Bearers(settings.tokens), Hosts(settings)
        self._bodies = Bodies(settings.max_body, settings.body_timeout)
        self._log = AccessLog() if settings.access_log else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An ASGI application."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, headers, twice = time.perf_counter(), *watched(scope)
        number = request_id(headers.get(b"x-request-id"))
        ours = (b"x-request-id", number.encode()), *SECURITY
        status = size = 0

        async def answer(message: Message) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *ours]
                if self._service.state == DRAINING:
                    message["headers"].append(CLOSE)
            elif scope["method"] != "HEAD":
                size += len(message.get("body", b""))
            await send(message)

        scope["app"] = self  # the router then raises what it cannot answer, instead of writing text
        has_body = b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"
        incoming = Incoming(receive) if has_body else None
        held = 0
        try:
            self._admit(scope, headers, twice)
            if incoming is not None:
                held, receive = await self._bodies.read(incoming, headers.get(b"content-length"))
            await self._app(scope, receive, answer)
        except Gone:
            pass
        except Exception as error:
            if status:
                # its head is sent: a reply that ends too early is seen as one that broke off
                self._broke_off(number, error)
                return
            refusal = _refusal(number, error)
            if refusal.code in LIMITS:
                self._metrics.refused(refusal.code)
            await self._refuse(refusal, number, answer, incoming)
        finally:
            self._bodies.free(held)
            route, seconds = route_of(scope), time.perf_counter() - began
            self._metrics.request(route, status or GONE, seconds)
            if self._log is not None:
                self._log.write(scope, number, route, status or GONE, size, seconds, scope.get(IMAGES, 0))

    def _admit(self, scope: Scope, headers: Headers, twice: bytes | None) -> None:
        """Raises the Refusal of a request that goes no further."""
        if twice is not None:
            raise Refusal.bad(f"the header {twice.decode()} is there twice")
        self._hosts.check(headers.get(b"host"), scope["http_version"])
        if headers.get(b"sec-fetch-site") == b"cross-site" and not followed_link(scope["method"], headers):
            line = "a page of another site asked for this: open the server's own page, or ask outside a browser"
            raise Refusal(403, "cross_site", line)
        closed = self._bearers and scope["path"] not in OPEN
        if closed and not self._bearers.admit(headers.get(b"authorization")):
            line = "this server asks for a token: send `Authorization: Bearer TOKEN`"
            raise Refusal(401, "unauthorized", line, {"www-authenticate": 'Bearer realm="wgan"'})

    def _broke_off(self, number: str, error: Exception) -> None:
        self._metrics.refused("broke_off")
        if isinstance(error, Refusal):
            fault(f"request {number} broke off: {error.message}")
        else:
            _log(number, error)

    async def _refuse(self, refusal: Refusal, number: str, answer: Send, incoming: Incoming | None) -> None:
        """Answers it. Where some of its body was not read the connection closes after it."""
        body = error_body(refusal.message, refusal.code, number)
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
            *((name.lower().encode(), value.encode()) for name, value in refusal.headers.items()),
        ]
        unread = incoming is not None and incoming.more
        if unread and CLOSE not in headers:
            headers.append(CLOSE)
        await answer({"type": "http.response.start", "status": refusal.status, "headers": headers})
        if incoming is not None and unread:
            await answer({"type": "http.response.body", "body": body, "more_body": True})
            await linger(incoming)
            body = b""
        await answer({"type": "http.response.body", "body": body, "more_body": False})


def watched(scope: Scope) -> tuple[Headers, bytes | None]:
    """The headers that the guard reads, and the name of one that may be there once and is there twice."""
    headers: Headers = {}
    twice = None
    for name, value in scope["headers"]:
        if name in _WATCHED:
            if name in headers and name in _ONCE:
                twice = name
            headers[name] = value
    return headers, twice


def followed_link(method: str, headers: Headers) -> bool:
    """Whether somebody followed a link to here, and no page of another site asks or embeds in their name."""
    return (
        method in ("GET", "HEAD")
        and headers.get(b"sec-fetch-mode") == b"navigate"
        and headers.get(b"sec-fetch-dest") not in _EMBEDDED
    )


def _refusal(number: str, error: Exception) -> Refusal:
    """What is answered: never the words of an error that nobody foresaw."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, HTTPException):
        code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_")
        return Refusal(error.status_code, code, _LINES.get(error.status_code, error.detail), error.headers)
    _log(number, error)
    return Refusal(500, "failed", "the server failed; its log says why under this request id")


def _log(number: str, error: Exception) -> None:
    fault(f"request {number} failed\n" + "".join(traceback.format_exception(error)).rstrip())


_LINES = {404: "there is nothing here: /openapi.json lists what there is", 405: "this method is not for this path"}
