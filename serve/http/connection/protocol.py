"""uvicorn's HTTP protocol, with what it lacks: limits on heads, pipelines and readers, and errors in our words.

It has no time limit for a request's head nor for a client that reads nothing, keeps a head of any size, answers what
is malformed before the requests that came before it, and does not tell the request that is running when a client
that had sent another leaves.
"""

import asyncio
from functools import partial
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from wgan.serve.http.connection.connections import Connections
from wgan.serve.http.connection.joined import Joined
from wgan.serve.http.guard.ids import raw_reply
from wgan.serve.http.queue.service import LEFT, Service

LAST = 0.3  # seconds in which an idle connection may still bring the request that it has sent
HEAD = 16 << 10  # bytes of a request line and headers
PIPELINED = 16  # requests that one connection sends before their replies
LINGER, LINGER_BYTES = 2.0, 1 << 20  # for a client that still sends to read its refusal
OUT_QUEUE = 0x5411  # Linux's TIOCOUTQ: bytes that the other side has not taken


def protocol_of(service: Service) -> type[asyncio.Protocol]:
    """What uvicorn calls for each connection of this server."""
    return cast(type[asyncio.Protocol], partial(Protocol, Connections(service)))


class _Unacceptable(Exception):
    """Raised in the parser's callbacks: a request that is refused before it is one. (reason, status, line)."""


class Protocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, connections: Connections, *args: Any, **options: Any):
        super().__init__(*args, **options)
        # what follows a request that ends the connection is not read: uvicorn lets it in
        self.parser.set_dangerous_leniencies(lenient_data_after_close=False)
        self._connections = connections
        self._running: RequestResponseCycle | None = None
        self._joined: Joined | None = None
        self._heading = self._body = False  # a head, a body has begun and not ended
        self._fed = 0  # bytes since then, without the piece in which it began
        self._piece = 0  # bytes of the piece that is parsed now
        self._deaf = False  # what it sends is thrown away
        self.drained = False  # its client has taken what was written, since it was looked at
        self._last_words: bytes | None = None  # after the replies that are under way
        self._fault: _Unacceptable | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Of asyncio."""
        super().connection_made(transport)
        self._connections.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Of asyncio. Every request that it sent is told."""
        self._connections.closed(self)
        self._deaf = True
        queued = [cycle for cycle, _ in self.pipeline]
        self.pipeline.clear()
        for cycle in [self._running, *queued]:
            if cycle is not None and not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()
                scope = cast(dict[str, Any], cycle.scope)
                tell, scope[LEFT] = scope.get(LEFT), True
                if callable(tell):
                    tell()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Of asyncio."""
        self._fed += len(data)
        if self._deaf:
            if self._fed > LINGER_BYTES:
                self.transport.abort()
            return
        self._unset_keepalive_if_required()
        self._connections.idle.pop(self, None)
        self._piece = len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:  # no other protocol is spoken: it is answered, and then closed
            self._deaf = True
            self.cycle.keep_alive = False
        except httptools.HttpParserError:
            fault = self._fault or _Unacceptable("malformed", 400, "this is no valid HTTP request")
            self.refuse(*fault.args)
        else:
            if self._heading or self._fed:
                self._unfinished()

    def _unfinished(self) -> None:
        """After a piece that ended within a request, or before one."""
        if self._body:
            # 1 MiB in chunks of one byte is no body; trailers and the chunks' extensions count too
            if self._fed > 2 * self._connections.max_body + HEAD:
                self.refuse("too_large", 413, f"a body has at most {self._connections.max_body:,} bytes")
        elif self._fed > HEAD:
            self.refuse(*_HEAD_TOO_LARGE)
        else:
            self._connections.heading.setdefault(self, self.loop.time())

    def on_message_begin(self) -> None:
        """Of httptools."""
        self._heading = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Of httptools."""
        fed, self._heading, self._fed = self._fed, False, 0
        self._connections.heading.pop(self, None)
        if max(fed, self._piece) > HEAD:
            head = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if head > HEAD:
                self._reject(*_HEAD_TOO_LARGE)
        if self.parser.get_http_version() not in ("1.1", "1.0"):
            self._reject("version", 505, "HTTP/1.1 is spoken here, and HTTP/1.0")
        if len(self.pipeline) >= PIPELINED:
            self._reject("pipelined", 429, f"more than {PIPELINED} requests before their replies", _AGAIN)
        super().on_headers_complete()
        self._body = True
        self.headers = []  # a body's trailers are no headers of the request

    def on_message_complete(self) -> None:
        """Of httptools."""
        self._body, self._fed = False, 0
        super().on_message_complete()

    def _reject(self, *fault: Any) -> None:
        self._fault = _Unacceptable(*fault)
        raise self._fault

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        cycle.transport = self._joined = Joined(self.transport, self.loop)  # type: ignore[assignment]
        super()._start_asgi_task(cycle, app)

    @property
    def _busy(self) -> bool:
        """Whether it waits for a reply."""
        return self._running is not None and not self._running.response_complete

    def on_response_complete(self) -> None:
        """Of a cycle."""
        if self._joined is not None:
            self._joined.flush()  # before whatever follows it
        super().on_response_complete()
        if self.transport.is_closing() or self._busy:
            return
        if self._last_words is not None:
            self._end(self._last_words)
        elif not self._heading:
            self._connections.idle[self] = self.loop.time()

    def refuse(self, reason: str, status: int, line: str, headers: str = "") -> None:
        """Answers what is no request, after the replies that are under way, and closes. Nothing more is read.

        Args:
            reason: a word, for programs and for the metrics.
        """
        self._connections.metrics.refused(reason)
        self._deaf, self._fed = True, 0
        self._unset_keepalive_if_required()
        self._connections.idle.pop(self, None)
        self._connections.heading.pop(self, None)
        if self.transport.is_closing():
            return
        reply = raw_reply(status, reason, line, headers)
        if self._body and self.pipeline:
            self.pipeline.popleft()  # the request whose body is at fault; its turn had not come
        elif self._body:
            # its route waits for the rest of the body, which does not come
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            if self.cycle.response_started:
                self.transport.close()
                return
            self._running = None
        if self._busy:
            self._last_words = reply
        else:
            self._end(reply)

    def head_is_late(self, timeout: float) -> None:
        """The head of a request did not come in time."""
        if self._heading or self._fed:
            self.refuse("header_timeout", 408, f"the headers did not arrive within {timeout:g} s")
        else:
            self._connections.metrics.refused("header_timeout")
            self.transport.close()

    def _end(self, reply: bytes) -> None:
        """The last that it writes. What still comes is taken: closing at once would reset it and lose the reply."""
        self._last_words = None
        self.transport.write(reply)
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self.loop.call_later(LINGER, self.transport.abort)
            self.flow.resume_reading()
        else:
            self.transport.close()

    def resume_writing(self) -> None:
        """Of asyncio."""
        self.drained = True
        super().resume_writing()

    def unread(self) -> int:
        """Bytes that the client has yet to take, while this side keeps any of them."""
        size = self.transport.get_write_buffer_size()
        return size and size + _in_system(self.transport)

    def shutdown(self) -> None:
        """The server ends: what is under way is finished, and so is a request that has been sent and not been read."""
        if self._busy:
            self.cycle.keep_alive = False
        else:
            self.loop.call_later(LAST, self._close_if_idle)

    def _close_if_idle(self) -> None:
        if self._busy:
            self.cycle.keep_alive = False
        else:
            self.transport.close()


def _in_system(transport: asyncio.Transport) -> int:
    """Bytes in the system's own buffer: they tell a slow reader from one that has stopped. 0 where it does not say."""
    try:
        import fcntl

        answer = fcntl.ioctl(transport.get_extra_info("socket").fileno(), OUT_QUEUE, bytes(4))
        return int.from_bytes(answer, "little")
    except (ImportError, OSError, AttributeError):
        return 0


_AGAIN = "retry-after: 1\r\n"
_HEAD_TOO_LARGE = ("head_too_large", 431, f"a request's line and headers have at most {HEAD:,} bytes")
