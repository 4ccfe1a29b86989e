"""uvicorn as it is run here: its settings, and an end that loses no connection."""

import asyncio
import math
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import uvicorn
from starlette.types import ASGIApp

from wgan.serve.http.connection.protocol import protocol_of
from wgan.serve.http.queue.service import Service

KEEP_ALIVE = 75  # seconds that a connection may be idle
LAST_WORDS = 1  # seconds for the replies to requests that were not made in time


def configured(app: ASGIApp, service: Service) -> uvicorn.Config:
    """Its settings for an application behind a `Guard`."""
    return uvicorn.Config(
        app,
        http=protocol_of(service),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=math.ceil(service.settings.drain_timeout + LAST_WORDS),
    )


class Uvicorn(uvicorn.Server):
    """uvicorn without its signals, which ends without losing a connection that the system has taken for it."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves them to others."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Takes what waits to be accepted, then no more: closing the socket would reset it."""
        loop, protocol = asyncio.get_running_loop(), self.config.http_protocol_class
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
                    lambda: protocol(  # type: ignore[call-arg]
                        config=self.config, server_state=self.server_state, app_state={}, _loop=loop
                    ),
                    connection,
                )
        await super().shutdown(sockets)
