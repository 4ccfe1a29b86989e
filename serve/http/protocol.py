"""uvicorn's HTTP protocol, with what it lacks."""

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
