"""A reply's head leaves with its body: uvicorn writes one after the other, and each would be a packet of its own."""

import asyncio
from typing import Any

SMALL = 4096  # bytes of a head, and of whatever else may wait


class Joined:
    """A connection's transport, for one request.

    Of two writes the first waits for the second if it is small, until the loop's next turn at most.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop):
        self._transport, self._loop = transport, loop
        self._held = b""

    def write(self, data: bytes) -> None:
        """Of asyncio."""
        if self._held:
            held, self._held = self._held, b""
            self._transport.writelines((held, data))
        elif 0 < len(data) < SMALL:
            self._held = data
            self._loop.call_soon(self.flush)
        else:
            self._transport.write(data)

    def flush(self) -> None:
        """Writes what waits."""
        if self._held:
            held, self._held = self._held, b""
            self._transport.write(held)

    def close(self) -> None:
        """Of asyncio."""
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
