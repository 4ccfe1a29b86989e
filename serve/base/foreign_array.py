"""numpy's files as anybody may have written them: their headers are Python text, which numpy parses as it comes."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def reading_array() -> Iterator[None]:
    """What a file leads numpy into in the block becomes a ValueError; what the system refuses stays an OSError."""
    try:
        yield
    except (OSError, ValueError):
        raise
    except Exception as error:  # of the tokenizer, the parser, zipfile, zlib: each fails in its own way
        raise ValueError(f"not a whole file of numpy ({type(error).__name__})") from None
