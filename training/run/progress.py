"""What a person watches while a run trains: two live lines on a terminal, else now and then a line."""

import math
import sys
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TextIO

from wgan.serve.base.fold import terminal_width
from wgan.serve.base.progress import INTERVAL, Rate, console_on, duration, is_live
from wgan.serve.base.terminal import messages, plain
from wgan.serve.base.written import put, written_on

NARROW = 60  # columns, below which the bar is short

if TYPE_CHECKING:
    from rich.live import Live

# key of a record → what it is called here, how it is written, what it means and which direction is good
_SHOWN: tuple[tuple[str, str, Callable[[float], str], str], ...] = (
    ("wasserstein", "W", lambda value: f"{value:.3g}",
     "the critic's estimate of the distance to the real images; falling is good"),
    ("penalty", "penalty", lambda value: f"{value:.3g}",
     "how far the critic's slope is from 1; small and steady is good"),
    ("grad_norm", "grad norm", lambda value: f"{value:.2f}",
     "the critic's slope between real and generated images; near 1 is good"),
    ("swd", "SWD", lambda value: f"{value:.1f}",
     "sliced Wasserstein distance to images held out; lower is better"),
    ("fid", "FID", lambda value: f"{value:.1f}",
     "Inception distance to the real images; lower is better"),
)  # fmt: skip


class Progress:
    """Step, time left, images/s, Wasserstein estimate, penalty, gradient norm at x̂, last SWD and last FID.

    Args:
        total_steps: where the run ends.
        first_step: where it starts: above zero when resumed, where the figures are known already.
        stream: stderr if not given; stdout belongs to results.
    """

    def __init__(self, total_steps: int, *, first_step: int = 0, stream: TextIO | None = None):
        self._stream = stream or messages()
        self._total, self._step = total_steps, first_step
        self._values: dict[str, Any] = {}
        self._doing = ""
        self._rate = Rate(first_step)
        self._live: Live | None = None
        self._printed_at = -math.inf
        self._printed: list[str] = []
        self._explained = {key for key, *_ in _SHOWN} if first_step else set()

    def __enter__(self) -> Self:
        if is_live(self._stream):
            from rich.live import Live

            # a warning printed to stderr must land above the bar, a result on stdout must stay there
            self._live = Live(
                get_renderable=self._panel,
                console=console_on(self._stream),
                refresh_per_second=4,
                redirect_stdout=False,
                redirect_stderr=self._stream is sys.stderr,
            )
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
        elif self._now() != self._printed:  # a last validation may have come after the last step's line
            self._print_line()

    def update(self, step: int, values: Mapping[str, Any]) -> None:
        """``step`` steps are done; ``values`` (keys as in `metrics.jsonl`) replace those shown so far."""
        self._step = step
        self._values.update(values)
        self._rate.update(step)
        self._explain()
        if self._live is None and time.monotonic() - self._printed_at >= INTERVAL:
            self._print_line()

    def doing(self, done: int, total: int, what: str) -> None:
        """What goes on between two steps, where that takes long."""
        self._doing = f"{plain(what)}: {done:,} of {total:,}" if done < total else ""
        if self._live is None and self._doing and time.monotonic() - self._printed_at >= INTERVAL:
            self._printed_at = time.monotonic()
            put(self._stream, self._doing + "\n")

    def _explain(self) -> None:
        """Says of each figure once, before it is first seen, what it means."""
        for key, name, _, meaning in _SHOWN:
            if key in self._values and key not in self._explained:
                self._explained.add(key)
                self.note(f"{name}: {meaning}")

    def note(self, text: str) -> None:
        """Prints ``text`` above the bar."""
        text = written_on(self._stream, plain(text))
        if self._live is not None:
            self._live.console.print(text, markup=False, soft_wrap=True)
        else:
            put(self._stream, text + "\n")

    def _print_line(self) -> None:
        self._printed_at, self._printed = time.monotonic(), self._now()
        step, *figures = self._printed
        words = [step, *self._pace(), *figures]
        put(self._stream, "  ".join(words) + "\n")

    def _now(self) -> list[str]:
        return [f"step {self._step:,} of {self._total:,}", *self._figures()]

    def _pace(self) -> list[str]:
        left = self._rate.left(self._total - self._step)
        speed = self._values.get("images_per_second")
        words = [f"{duration(left)} left"] if left else []
        return words + ([f"{speed:,.0f} images/s"] if speed else [])

    def _figures(self) -> list[str]:
        return [f"{name} {write(self._values[key])}" for key, name, write, _ in _SHOWN if key in self._values]

    def _panel(self) -> Any:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        first = Table.grid(padding=(0, 2))
        first.add_row(
            Text(f"step {self._step:,}/{self._total:,}"),
            ProgressBar(total=self._total, completed=self._step, width=20 if terminal_width() >= NARROW else 6),
            Text(" · ".join(self._pace()), style="dim", overflow="ellipsis", no_wrap=True),
        )
        words = self._doing or " · ".join(self._figures()) or "waiting for the first step"
        return Group(first, Text(words))
