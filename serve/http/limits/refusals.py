"""What the server answers instead of images: a status, a word for programs and a line for people."""

from collections.abc import Mapping


class Refusal(Exception):
    """A request that gets no images.

    Args:
        status: of HTTP.
        code: what a program tells it apart by, in snake_case.
        message: one line that says what is wrong and what to do; no path of this machine.
        headers: of the reply.
    """

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None):
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, dict(headers or {})

    @classmethod
    def bad(cls, message: str) -> "Refusal":
        """400: the request is not one that this server takes."""
        return cls(400, "bad_request", message)

    @classmethod
    def not_found(cls, message: str) -> "Refusal":
        """404."""
        return cls(404, "not_found", message)

    @classmethod
    def too_large(cls, message: str) -> "Refusal":
        """413: the body."""
        return cls(413, "too_large", message, {"connection": "close"})

    @classmethod
    def unsupported(cls, message: str) -> "Refusal":
        """415: the type of the body."""
        return cls(415, "unsupported", message)

    @classmethod
    def full(cls, retry_after: int) -> "Refusal":
        """429: as many images are asked for as this server keeps waiting; ``retry_after`` in seconds."""
        line = f"the queue is full: ask again in {retry_after} s, and take longer each time"
        return cls(429, "queue_full", line, {"retry-after": str(retry_after)})

    @classmethod
    def failed(cls) -> "Refusal":
        """500: the runtime failed; its own words are in the server's log alone."""
        return cls(500, "failed", "the generator failed; the server's log says why")

    @classmethod
    def no_memory(cls) -> "Refusal":
        """503: memory ran out."""
        line = "the server ran out of memory for these images: ask for fewer at a time"
        return cls(503, "out_of_memory", line, {"retry-after": "1"})

    @classmethod
    def draining(cls) -> "Refusal":
        """503: the server, or this generator in it, is ending."""
        line = "the server is shutting down: ask another one"
        return cls(503, "draining", line, {"retry-after": "1", "connection": "close"})

    @classmethod
    def late(cls) -> "Refusal":
        """504: the request's own time was over before its images were made."""
        line = "not made within X-Request-Timeout: allow more, or ask for fewer images"
        return cls(504, "deadline", line)


class Gone(Exception):
    """The client closed its connection: there is nobody to answer."""
