"""The connections of a server: how many, how long one may take for a request's head, and one that reads nothing."""

import asyncio
import sys
from typing import TYPE_CHECKING

from wgan.serve.http.queue.service import Service

if TYPE_CHECKING:
    from wgan.serve.http.connection.protocol import Protocol

FRESH = 1.0  # seconds for which a connection without a request is not closed in favour of another
TURNED_AWAY = 64  # connections at a time that are told so; any more are cut off
FILES = 256  # beside the connections
PERIOD = 1.0  # seconds, at most, between two looks at all of them


class Connections:
    """What they share. No connection has a timer of its own: one look a second at all of them costs less."""

    def __init__(self, service: Service):
        settings = service.settings
        self.max_body, self.metrics = settings.max_body, service.metrics
        self._limit = files_for(settings.max_connections)
        self._header_timeout, self._write_timeout = settings.header_timeout, settings.write_timeout
        self._period = min(PERIOD, settings.header_timeout / 4, settings.write_timeout / 4)
        self._open: set[Protocol] = set()
        self._away: set[Protocol] = set()
        # since when, on the loop's clock; the oldest first
        self.idle: dict[Protocol, float] = {}
        self.heading: dict[Protocol, float] = {}
        self._unread: dict[Protocol, tuple[int, float]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def opened(self, connection: "Protocol") -> None:
        """Takes a new one, in place of the oldest without a request where there are as many as may be."""
        now = connection.loop.time()
        if len(self._open) >= self._limit:
            victim = self._oldest(now)
            if victim is None:
                self._turn_away(connection)
                return
            self.closed(victim)
            victim.transport.close()
            self.metrics.refused("idle_connection")
        self._open.add(connection)
        self.heading[connection] = now
        self.metrics.connections(len(self._open))
        if self._timer is None:
            self._timer = connection.loop.call_later(self._period, self._look, connection.loop)

    def closed(self, connection: "Protocol") -> None:
        """It is no longer one of them."""
        self._open.discard(connection)
        self._away.discard(connection)
        for kept in (self.idle, self.heading, self._unread):
            kept.pop(connection, None)
        self.metrics.connections(len(self._open))

    def _oldest(self, now: float) -> "Protocol | None":
        """One that keeps a finished request's connection, or that has brought no head yet."""
        for kept in (self.idle, self.heading):
            for connection, since in kept.items():
                if now - since >= FRESH:
                    return connection
                break
        return None

    def _turn_away(self, connection: "Protocol") -> None:
        if len(self._away) >= TURNED_AWAY:
            self.metrics.refused("connections")
            connection.transport.abort()
            return
        self._away.add(connection)
        line = "too many connections: ask again"
        connection.refuse("connections", 503, line, "retry-after: 1\r\n")

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """At all of them: the first call sets the next, until there are none."""
        now = loop.time()
        for connection, since in list(self.heading.items()):
            if now - since < self._header_timeout:
                break
            del self.heading[connection]
            connection.head_is_late(self._header_timeout)
        for connection in list(self._open):
            unread = connection.unread()
            before, since = self._unread.get(connection, (0, now))
            if not unread:
                self._unread.pop(connection, None)
                continue
            if unread < before or not before or connection.drained:
                since = now
            connection.drained = False
            self._unread[connection] = unread, since
            if now - since >= self._write_timeout:
                self.metrics.refused("write_timeout")
                connection.transport.abort()
        self._timer = loop.call_later(self._period, self._look, loop) if self._open else None


def files_for(wanted: int) -> int:
    """As many connections as are wanted, or as this process may open files for: the limit is raised where it may be."""
    if sys.platform == "win32":
        return wanted
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    if soft != unlimited and soft < wanted + FILES:
        soft = wanted + FILES if hard == unlimited else min(hard, wanted + FILES)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return wanted if soft == unlimited else min(wanted, soft - min(FILES, soft // 2))
