"""How far a long piece of work has come, on stderr: a live bar on a terminal, else now and then a line.

Nothing here ever reaches stdout, which belongs to results. Rich is imported when a bar is drawn.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, TextIO, cast

from wgan.serve.base.terminal import messages, plain
from wgan.serve.base.written import Surviving, put

if TYPE_CHECKING:
    from rich.console import Console

Callback = Callable[[int, int, str], None]

QUIET = 1.5  # seconds: what is done sooner needs no bar
INTERVAL = 10.0  # seconds between lines where no bar can be drawn
_WINDOW = 60.0  # seconds that the rate is averaged over
_SETTLED = 1.0  # seconds before a rate says anything


def is_live(stream: TextIO) -> bool:
    """Whether ``stream`` is a terminal on which a bar can be redrawn."""
    return stream.isatty() and os.environ.get("TERM", "") not in ("dumb", "unknown")


def console_on(stream: TextIO) -> "Console":
    """A Rich console on ``stream``, which is a terminal."""
    from rich.console import Console

    return Console(file=cast("IO[str]", Surviving(stream)), force_terminal=True, highlight=False)


def duration(seconds: float) -> str:
    """For people: `0.4 s`, `12 s`, `3 min 05 s`, `2 h 07 min`, `3 d 04 h`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    minutes = whole // 60
    if minutes < 24 * 60:
        return f"{minutes // 60} h {minutes % 60:02} min"
    return f"{minutes // 1440} d {minutes // 60 % 24:02} h"


class Rate:
    """How many a second, over the last minute."""

    def __init__(self, done: int = 0):
        self._seen = deque([(time.monotonic(), done)])

    def update(self, done: int) -> None:
        """Notes that ``done`` of them are done now."""
        now = time.monotonic()
        self._seen.append((now, done))
        while len(self._seen) > 2 and now - self._seen[0][0] > _WINDOW:
            self._seen.popleft()

    @property
    def per_second(self) -> float:
        """Zero until there is something to go by."""
        (start, first), (end, last) = self._seen[0], self._seen[-1]
        return (last - first) / (end - start) if end - start >= _SETTLED else 0.0

    def left(self, remaining: int) -> float | None:
        """Seconds that ``remaining`` more will take, if that can be said."""
        return remaining / self.per_second if self.per_second > 0 else None


@contextmanager
def counter(
    what: str = "", *, stream: TextIO | None = None, quiet: float = QUIET, speed: bool = False
) -> Iterator[Callback]:
    """A callback ``progress(done, total, what)`` for the time of the block; its ``what`` may be empty.

    ``speed``: also say how many a second. Nothing is shown of work that is over within ``quiet`` seconds.
    """
    out = stream or messages()
    shown = _Bar(out, speed) if is_live(out) else _Lines(out, speed)
    started, rate = time.monotonic(), Rate()

    def progress(done: int, total: int, now: str = "") -> None:
        rate.update(done)
        if time.monotonic() - started >= quiet:
            shown.show(done, total, plain(now or what), rate)

    try:
        yield progress
    finally:
        shown.close()


class _Bar:
    """One line at the foot of a terminal that is gone when the work is done."""

    def __init__(self, stream: TextIO, speed: bool):
        self._stream = stream
        self._speed = speed
        self._close: Callable[[], None] | None = None

    def show(self, done: int, total: int, what: str, rate: Rate) -> None:
        if self._close is None:
            from rich import progress

            columns = (
                progress.TextColumn("{task.description}", markup=False),
                progress.BarColumn(24),
                progress.MofNCompleteColumn(),
                progress.TextColumn("{task.fields[left]}", markup=False),
            )
            console = console_on(self._stream)
            self._bar = progress.Progress(
                *columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False
            )
            self._task = self._bar.add_task(what, total=total, left="")
            self._bar.start()
            self._close = self._bar.stop
        text = ", ".join(_pace(rate, total - done, self._speed))
        self._bar.update(self._task, description=what, completed=done, total=total, left=text)

    def close(self) -> None:
        if self._close is not None:
            self._close()


class _Lines:
    """Plain lines for a log file."""

    def __init__(self, stream: TextIO, speed: bool):
        self._stream = stream
        self._speed = speed
        self._last = float("-inf")

    def show(self, done: int, total: int, what: str, rate: Rate) -> None:
        now = time.monotonic()
        if done < total and now - self._last < INTERVAL:
            return
        self._last = now
        parts = [f"{what}: {done:,} of {total:,}", *_pace(rate, total - done, self._speed)]
        put(self._stream, ", ".join(parts) + "\n")

    def close(self) -> None:
        pass


def _pace(rate: Rate, remaining: int, speed: bool) -> list[str]:
    """What can be said of it: how many a second, and the time left."""
    left = rate.left(remaining)
    if left is None:
        return []
    return [f"{rate.per_second:,.0f}/s"] * speed + [f"{duration(left)} left"] * (remaining > 0)
