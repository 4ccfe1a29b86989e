"""How long a run has trained."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Clock:
    """Seconds spent on training alone: what is looked at and saved in between does not count.

    Args:
        before: seconds to go on from: those of a run before it was resumed.
    """

    def __init__(self, before: float = 0.0) -> None:
        self.before = before
        self._began, self._away = time.monotonic() - before, 0.0

    @contextmanager
    def paused(self) -> Iterator[None]:
        """The time of the block is left out."""
        began = time.monotonic()
        yield
        self._away += time.monotonic() - began

    @property
    def seconds(self) -> float:
        """So far."""
        return time.monotonic() - self._began - self._away
