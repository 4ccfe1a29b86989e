"""uvicorn, and its HTTP protocol, with what they lack."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LAST = 0.3  # seconds in which an idle connection may still bring the request that it has sent


class Protocol(HttpToolsProtocol):
    """One connection."""

    def shutdown(self) -> None:
        """The server ends: what is under way is finished, and so is a request that has been sent and not been read."""
        if self.cycle is None or self.cycle.response_complete:
            self.loop.call_later(LAST, self._close_if_idle)
        else:
            self.cycle.keep_alive = False

    def _close_if_idle(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()
        else:
            self.cycle.keep_alive = False


class Uvicorn(uvicorn.Server):
    """uvicorn without its signals, which ends without losing a connection that the system has taken for it."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves them to others."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Takes what waits to be accepted, then no more: closing the socket would reset it."""
        loop = asyncio.get_running_loop()
        taken: list[socket.socket] = []
        for listener in sockets or []:
            with listener.dup() as same:
                same.setblocking(False)
                with suppress(OSError):  # none is left, or they have been taken by the loop
                    while True:
                        taken.append(same.accept()[0])
                with suppress(OSError):
                    same.shutdown(socket.SHUT_RD)  # from now on connections are refused
        for connection in taken:
            connection.setblocking(False)
            with suppress(OSError):  # it has left
                await loop.connect_accepted_socket(
                    lambda: Protocol(config=self.config, server_state=self.server_state, app_state={}, _loop=loop),
                    connection,
                )
        await super().shutdown(sockets)
