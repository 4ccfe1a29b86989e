"""Servers of a few routes without a generator, and clients that speak HTTP byte by byte."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route, Router

from tests.serve.http.serving import PATIENCE
from wgan.serve.http.connection.listening import listen
from wgan.serve.http.connection.uvicorns import Uvicorn, configured
from wgan.serve.http.described import scrape
from wgan.serve.http.guard.guard import Guard
from wgan.serve.http.limits.settings import Settings
from wgan.serve.http.queue.metrics import Metrics
from wgan.serve.http.queue.service import READY, Service


@dataclass
class Reply:
    """An answer as it came over the wire."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def error(self) -> Any:
        """The body of an error, which has what every error has."""
        error = json.loads(self.body)
        assert set(error) == {"error", "code", "request_id"}
        assert error["request_id"] == self["x-request-id"]
        assert "\n" not in error["error"]
        return error

    def __getitem__(self, name: str) -> str:
        (value,) = (value for each, value in self.headers if each == name)
        return value


class Raw:
    """A connection."""

    def __init__(self, port: int, buffer: int | None = None):
        self.socket = socket.socket()
        if buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(("127.0.0.1", port))
        self._read = b""

    def __enter__(self) -> "Raw":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, text: str | bytes) -> None:
        self.socket.sendall(text.encode("latin-1") if isinstance(text, str) else text)

    def get(self, path: str = "/ok", *headers: str, host: str = "localhost") -> Reply:
        """The reply to a GET."""
        self.send(request(path, *headers, host=host))
        return self.reply()

    def reply(self, method: str = "GET") -> Reply:
        """The next one."""
        head = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        headers = [(name.lower(), value) for name, _, value in (line.partition(": ") for line in head[1:] if line)]
        reply = Reply(int(head[0].split()[1]), headers, b"")
        length = 0 if method == "HEAD" or reply.status == 304 else int(reply["content-length"])
        while len(self._read) < length:
            self._more()
        reply.body, self._read = self._read[:length], self._read[length:]
        return reply

    def ended(self) -> bool:
        """Whether the server ends the connection, and nothing more comes before."""
        try:
            return not self._read and self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._read:
            self._more()
        head, _, self._read = self._read.partition(mark)
        return head

    def _more(self) -> None:
        piece = self.socket.recv(1 << 16)
        assert piece, f"the connection ended after {self._read!r}"
        self._read += piece


def request(path: str = "/ok", *headers: str, method: str = "GET", host: str = "localhost", body: str = "") -> str:
    """The text of a request."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", f"Host: {host}", *headers, "", body])


@dataclass
class Bare:
    """A server without a generator."""

    port: int
    service: Service
    seen: list[str]

    def connect(self, buffer: int | None = None) -> Raw:
        return Raw(self.port, buffer)

    def counted(self, name: str, **labels: str) -> float:
        """The value of a metric."""
        return self.service.metrics.registry.get_sample_value(name, labels) or 0.0


def routes(seen: list[str]) -> list[BaseRoute]:
    """What a guard is tried with; `seen` has what reached a route."""

    async def ok(request: Request) -> Response:
        seen.append(request.url.path)
        return Response(b"fine")

    async def echo(request: Request) -> Response:
        body = await request.body()
        seen.append(f"{len(body)}")
        return Response(body)

    async def slow(request: Request) -> Response:
        await asyncio.sleep(0.3)
        seen.append("slow")
        return Response(b"slow")

    async def waits(request: Request) -> Response:
        seen.append("waits")
        while (await request.receive())["type"] != "http.disconnect":
            pass
        seen.append("left")
        return Response(b"")

    async def raises(request: Request) -> Response:
        raise ValueError("a secret in /home/somebody/file.py")

    async def large(request: Request) -> Response:
        async def parts() -> Any:
            for _ in range(1000):
                await asyncio.sleep(0)
                yield bytes(1 << 16)
                seen.append("part")

        return StreamingResponse(parts())

    async def big(request: Request) -> Response:
        return Response(bytes(8 << 20))

    async def breaks(request: Request) -> Response:
        async def parts() -> Any:
            yield b"some"
            raise ValueError("half-way")

        return StreamingResponse(parts())

    handlers = {"/": ok, "/healthz": ok, "/ok": ok, "/slow": slow, "/waits": waits, "/raises": raises, "/big": big}
    handlers |= {"/large": large, "/breaks": breaks, "/seeds/{seed}": ok}
    return [Route("/echo", echo, methods=["POST"]), *(Route(path, each) for path, each in handlers.items())]


@contextmanager
def bare(settings: Settings | None = None) -> Iterator[Bare]:
    """A guard and the protocol around `routes`, on a free port."""
    seen: list[str] = []
    service = Service(settings or Settings(), Metrics())
    service.state = READY
    listener = listen("127.0.0.1", 0)
    app = Guard(Router([*routes(seen), *scrape.routes(service)], redirect_slashes=False), service)
    server = Uvicorn(configured(app, service))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        eventually(lambda: server.started)
        yield Bare(listener.getsockname()[1], service, seen)
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
        assert not thread.is_alive()


def eventually(holds: Callable[[], bool]) -> None:
    """Waits until it does."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)
