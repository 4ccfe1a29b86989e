"""Many clients at a time, in one thread: plain HTTP/1.1 over asyncio streams."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass
class Reply:
    """What a server answered."""

    status: int
    headers: dict[str, str]
    body: bytes


class Connection:
    """One connection, opened when it is first needed and again after it was closed."""

    def __init__(self, port: int):
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, path: str, body: str) -> Reply:
        """The reply to a POST of JSON. Raises as `get`."""
        return await self._ask("POST", path, body, Content_Type="application/json", Content_Length=str(len(body)))

    async def get(self, path: str, **headers: str) -> Reply:
        """The reply to a GET. Raises ConnectionError or EOFError where there is none, or half of one."""
        return await self._ask("GET", path, "", **headers)

    async def _ask(self, method: str, path: str, body: str, **headers: str) -> Reply:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        own = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        writer.write(f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{own}\r\n{body}".encode())
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            fields = dict(line.lower().split(": ", 1) for line in head[1:] if line)
            content = await reader.readexactly(int(fields.get("content-length", 0)))
        except (EOFError, ConnectionError):
            self.close()
            raise
        if fields.get("connection") == "close":
            self.close()
        return Reply(int(head[0].split()[1]), fields, content)

    def close(self) -> None:
        """Lets go of it."""
        if self._streams is not None:
            self._streams[1].transport.abort()
        self._streams = None


async def together(port: int, count: int, work: Callable[[Connection, int], Awaitable[None]]) -> None:
    """Does the work once for each of ``count`` clients, all at a time."""
    connections = [Connection(port) for _ in range(count)]
    try:
        await asyncio.gather(*(work(connection, number) for number, connection in enumerate(connections)))
    finally:
        for connection in connections:
            connection.close()


async def load(port: int, clients: int, seconds: float, path: Callable[[int], str]) -> Counter[int]:
    """How often each status came while every client asked again as soon as it was answered, refused or not."""
    counts: Counter[int] = Counter()
    end = time.monotonic() + seconds

    async def ask(connection: Connection, number: int) -> None:
        seed = number * 10**6
        while time.monotonic() < end:
            seed += 1
            reply = await connection.get(path(seed))
            counts[reply.status] += time.monotonic() < end

    await together(port, clients, ask)
    return counts
