"""What stands between the protocol and the routes."""

import itertools
import os
import traceback

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wgan.serve.base.terminal import say
from wgan.serve.http.refusals import Gone, Refusal
from wgan.serve.http.service import DRAINING, Service


class Guard:
    """Gives each request an id, and each error its reply."""

    def __init__(self, app: ASGIApp, service: Service):
        self._app, self._service = app, service
        self._first, self._numbers = os.urandom(4).hex(), itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An ASGI application."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        number = f"{self._first}-{next(self._numbers)}"
        begun = False

        async def answer(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                message["headers"] = [*message["headers"], (b"x-request-id", number.encode())]
                if self._service.state == DRAINING:
                    message["headers"].append((b"connection", b"close"))
            await send(message)

        scope["app"] = self  # Starlette then raises what it would answer by itself
        try:
            await self._app(scope, receive, answer)
        except Gone:
            pass
        except Exception as error:
            if begun:
                raise
            refusal = self._refusal(error)
            body = {"error": refusal.message, "code": refusal.code, "request_id": number}
            await JSONResponse(body, refusal.status, refusal.headers)(scope, receive, answer)

    @staticmethod
    def _refusal(error: Exception) -> Refusal:
        if isinstance(error, Refusal):
            return error
        if isinstance(error, HTTPException):
            return Refusal(error.status_code, "http", str(error.detail), error.headers)
        say("".join(traceback.format_exception(error)).rstrip())
        return Refusal(500, "failed", "the server failed; its log says why")
