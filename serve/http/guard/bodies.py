"""The bodies of requests: whole before a route sees them, bounded in bytes and in time."""

import asyncio

from starlette.types import Message, Receive

from wgan.serve.http.limits.refusals import Gone, Refusal

AT_A_TIME = 64  # bodies of the largest size that may be held together
LINGER_SECONDS, LINGER_BYTES = 1.0, 4 << 20


class Incoming:
    """A body on its way. ``more`` says whether any of it is still to come."""

    def __init__(self, receive: Receive):
        self.receive, self.more = receive, True

    async def part(self) -> bytes:
        """The next part. Raises Gone where the client left."""
        message = await self.receive()
        if message["type"] != "http.request":
            raise Gone
        self.more = message.get("more_body", False)
        part: bytes = message.get("body", b"")
        return part


class Bodies:
    """Reads bodies.

    Args:
        most: bytes of one.
        timeout: seconds for the whole of it.
    """

    def __init__(self, most: int, timeout: float):
        self._most, self._timeout = most, timeout
        self._held = 0

    async def read(self, incoming: Incoming, length: bytes | None) -> tuple[int, Receive]:
        """A body's bytes and the `receive` that gives it to a route. What is read is held until `free`.

        Raises:
            Refusal: it is too large, too slow, or too much is held already.
            Gone: the client left.
        """
        if length is not None and int(length) > self._most:
            raise self._too_large()
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._timeout):
                while incoming.more:
                    part = await incoming.part()
                    size += len(part)
                    self._held += len(part)
                    if size > self._most:
                        raise self._too_large()
                    if self._held > AT_A_TIME * self._most:
                        line = "too many large requests at a time: ask again"
                        raise Refusal(503, "bodies_full", line, {"retry-after": "1", "connection": "close"})
                    parts.append(part)
        except TimeoutError:
            self.free(size)
            line = f"the body did not arrive within {self._timeout:g} s"
            raise Refusal(408, "body_timeout", line, {"connection": "close"}) from None
        except BaseException:
            self.free(size)
            raise
        return size, _replayed(b"".join(parts), incoming.receive)

    def free(self, size: int) -> None:
        """A body is no longer held."""
        self._held -= size

    def _too_large(self) -> Refusal:
        return Refusal.too_large(f"a body has at most {self._most:,} bytes")


def _replayed(body: bytes, receive: Receive) -> Receive:
    first = True

    async def replay() -> Message:
        nonlocal first
        if first:
            first = False
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return replay


async def linger(incoming: Incoming) -> None:
    """Takes what a client still sends, for a while: closing at once would reset its connection, and lose the reply."""
    taken = 0
    try:
        async with asyncio.timeout(LINGER_SECONDS):
            while incoming.more and taken < LINGER_BYTES:
                taken += len(await incoming.part())
    except (TimeoutError, Gone):
        pass
