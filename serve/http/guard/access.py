"""The access log: one JSON line a request on stderr, with nothing in it that a client may want kept secret."""

import atexit
import json
import queue
import sys
import threading
import time
from typing import Any, TextIO

from wgan.serve.base.written import Surviving

LONGEST = 200  # characters of a path or an id
WAITING = 10_000  # lines: what nobody reads is dropped, and counted

Entry = tuple[float, str, str, str, str, str, int, int, float, int]
FIELDS = ("time", "id", "client", "method", "route", "path", "code", "bytes", "ms", "images")


class AccessLog:
    """Writes on a thread of its own: a stderr that nobody reads stops no request.

    A line has the path and never the query, a header or a body: tokens and cookies are in none of it.
    Control characters and all beyond ASCII are written as JSON's escapes, so a line is a line.
    """

    def __init__(self, stream: TextIO | None = None):
        self._stream = stream
        self._entries: queue.Queue[Entry | None] = queue.Queue(WAITING)
        self._dropped = 0
        self._thread = threading.Thread(target=self._work, name="wgan-access-log", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def write(self, scope: Any, number: str, route: str, code: int, size: int, seconds: float, images: int) -> None:
        """Takes a line for a request that has ended. Never blocks."""
        client = scope.get("client")
        entry = (
            time.time(),
            number,
            client[0] if client else "",
            scope["method"],
            route,
            scope["path"],
            code,
            size,
            seconds,
            images,
        )
        try:
            self._entries.put_nowait(entry)
        except queue.Full:
            self._dropped += 1

    def close(self) -> None:
        """Waits a second at most for what is still to be written."""
        atexit.unregister(self.close)
        try:
            self._entries.put_nowait(None)
        except queue.Full:
            return
        self._thread.join(1)

    def _work(self) -> None:
        while (entry := self._entries.get()) is not None:
            dropped, self._dropped = self._dropped, 0
            stream = Surviving(self._stream or sys.stderr)  # a disk that is full now may have room again
            if dropped:
                stream.write(json.dumps({"dropped": dropped}) + "\n")
            stream.write(line_of(entry) + "\n")
            if self._entries.empty():
                stream.flush()


def line_of(entry: Entry) -> str:
    """The JSON of one request."""
    when, number, client, method, route, path, code, size, seconds, images = entry
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(when)) + f".{int(when % 1 * 1000):03d}Z"
    values = (stamp, number, client, method, route, path[:LONGEST], code, size, round(seconds * 1000, 2), images)
    return json.dumps(dict(zip(FIELDS, values, strict=True)))
