"""An HTTP proxy that fails by a plan, before an object store: `python scripts/faulty_proxy.py` shows one at work.

For tests and fault harnesses. It runs in threads of the process that makes it.
"""

import http.client
import random
import socket
import struct
import threading
import time
import urllib.parse
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

from object_store import MotoServer, environment

FAULTS = ("before", "upload", "download", "lost", "delay", "500", "503")
_ERRORS = {"403": "AccessDenied", "500": "InternalError", "503": "SlowDown"}
_PIECE = 1 << 16


class Faulty:
    """An HTTP proxy on loopback before an endpoint, which breaks requests.

    before    the connection is cut before anything goes on
    upload    it is cut midway through the request's body, of which the endpoint gets nothing whole
    download  it is cut midway through the answer's body
    lost      the endpoint has done what was asked, and the connection is cut before the answer
    delay     the request goes on after ``delay`` seconds
    500, 503  the endpoint's own error, and nothing goes on; 403 only where it is asked for

    A seeded plan: each request is broken with the probability ``rate``, by one of ``kinds``. The same requests in the
    same order are broken in the same way. `next` names faults of the very next requests, before the plan.

    Args:
        target: the endpoint, `http://host:port`.
        port: of the proxy; 0 is a free one.
    """

    def __init__(
        self,
        target: str,
        *,
        seed: int = 0,
        rate: float = 0.0,
        kinds: Sequence[str] = FAULTS,
        delay: float = 0.05,
        port: int = 0,
    ):
        self.target = urllib.parse.urlsplit(target)
        self.rate, self.kinds, self.delay = rate, tuple(kinds), delay
        self.down = False  # True: every connection is cut at once, as if there were no endpoint
        self.requests: list[tuple[str, str, str]] = []  # method, path with its query, fault or ""
        self._random, self._planned, self._lock = random.Random(seed), deque[tuple[str, str]](), threading.Lock()
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.proxy = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def counts(self) -> Counter[str]:
        """How many requests each fault has broken; "" are those that went through."""
        with self._lock:
            return Counter(fault for _, _, fault in self.requests)

    def next(self, *faults: str, method: str = "") -> None:
        """Breaks the next requests of ``method`` (of any, if empty) by these faults, one each; "" lets one through."""
        with self._lock:
            self._planned.extend((fault, method) for fault in faults)

    def choose(self, method: str, path: str) -> str:
        """The fault of a request that has come, or "". It is counted."""
        with self._lock:
            if self.down:
                fault = "before"
            elif self._planned and self._planned[0][1] in ("", method):
                fault = self._planned.popleft()[0]
            else:  # two draws whatever the outcome: the plan does not depend on the rate
                chance, fault = self._random.random(), self._random.choice(self.kinds)
                fault = fault if chance < self.rate else ""
            self.requests.append((method, path, fault))
            return fault

    def close(self) -> None:
        """Stops; connections that are open are cut."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> "Faulty":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Server(ThreadingHTTPServer):
    proxy: Faulty
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: "type[_Handler]") -> None:
        self._open: set[socket.socket] = set()
        super().__init__(address, handler)

    def process_request(self, request: socket.socket, client_address: tuple[str, int]) -> None:  # type: ignore[override]
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: socket.socket) -> None:  # type: ignore[override]
        self._open.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        super().server_close()
        for request in list(self._open):
            with suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""

    def handle_expect_100(self) -> bool:
        return True if self.server.proxy.down else super().handle_expect_100()

    def _pass(self) -> None:
        proxy = self.server.proxy
        fault = proxy.choose(self.command, self.path)
        length = int(self.headers.get("Content-Length") or 0)
        if fault == "before" or (fault == "upload" and not length):
            return self._cut()
        if fault == "upload":
            self._read(length // 2)
            return self._cut()
        body = self._read(length)
        if len(body) < length:  # the client has gone
            self.close_connection = True
            return None
        if fault in _ERRORS:
            return self._error(int(fault))
        if fault == "delay":
            time.sleep(proxy.delay)
        try:
            status, reason, headers, answer = self._forward(body)
        except (OSError, http.client.HTTPException):  # the endpoint is not there
            return self._cut()
        return self._cut() if fault == "lost" else self._answer(status, reason, headers, answer, fault == "download")

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass

    def _read(self, length: int) -> bytes:
        pieces: list[bytes] = []
        while length > 0 and (piece := self.rfile.read(min(length, _PIECE))):
            pieces.append(piece)
            length -= len(piece)
        return b"".join(pieces)

    def _forward(self, body: bytes) -> tuple[int, str, Iterable[tuple[str, str]], bytes]:
        target = self.server.proxy.target
        connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=60)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in ("connection", "expect"):
                    connection.putheader(name, value)
            connection.endheaders(body or None)
            response = connection.getresponse()
            return response.status, response.reason, response.getheaders(), response.read()
        finally:
            connection.close()

    def _answer(
        self, status: int, reason: str, headers: Iterable[tuple[str, str]], body: bytes, half: bool = False
    ) -> None:
        self.send_response_only(status, reason)
        length = str(len(body))
        for name, value in headers:
            if name.lower() == "content-length":
                length = value  # of a HEAD it is that of the body that is not sent
            elif name.lower() not in ("connection", "transfer-encoding"):
                self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", length)
        if half and not body:
            return self._cut()
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if half else body)
        return self._cut(reset=False) if half else None  # so that the half arrives

    def _error(self, status: int) -> None:
        code = _ERRORS[str(status)]
        text = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>a planned fault</Message></Error>"
        body = b"" if self.command == "HEAD" else text.encode()
        self._answer(status, code, [("Content-Type", "application/xml")], body)

    def _cut(self, reset: bool = True) -> None:
        self.close_connection = True
        if not reset:
            return
        with suppress(OSError):  # as of a machine that is gone
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.shutdown(socket.SHUT_WR)


def _serve_both() -> None:
    with MotoServer() as server, Faulty(server.url, rate=0.1) as proxy:
        for name, value in environment(proxy.url).items():
            print(f"export {name}={value}")
        server.bucket("bucket")
        print(f"# s3://bucket is there; one request in ten fails. Without faults: {server.url}", flush=True)
        with suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    _serve_both()
