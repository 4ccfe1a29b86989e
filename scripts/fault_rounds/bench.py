"""The workplace of the rounds: where their folders lie, and what their processes are made of."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path

from fault_rounds.blow import Blow, Reach
from fault_rounds.process import COUNTED, Ended, Order, together
from wgan.serve.base.temporary import sweep


@dataclass(frozen=True)
class Bench:
    """``before`` is called first in each process, see `Order`.

    ``mounts``: whether disks can be mounted; ``held``: what ends with the rounds.
    """

    context: ForkServerContext
    root: Path
    before: Callable[[], object] | None = None
    environment: dict[str, str] = field(default_factory=dict)
    mounts: bool = False
    held: ExitStack = field(default_factory=ExitStack)

    def order(self, words: Sequence[str], folder: Path, blow: Blow | None = None) -> Order:
        """A command in this folder."""
        return Order(tuple(words), folder, blow, self.environment, self.before)

    def run(
        self, orders: Sequence[Order], meanwhile: Callable[[Sequence[BaseProcess]], None] | None = None
    ) -> list[Ended]:
        """All at the same time."""
        return together(self.context, orders, meanwhile)

    def with_(self, environment: dict[str, str], before: Callable[[], object]) -> "Bench":
        """The same, where every process has these variables and calls ``before`` too."""
        return replace(self, environment=environment, before=partial(_both, self.before, before))

    @contextmanager
    def folder(self, name: str) -> Iterator[Path]:
        """An empty folder for a round."""
        folder = self.root / name
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder)

    def unbroken(self, words: Sequence[str], folder: Path) -> Reach:
        """Runs the command that nothing befalls; how far it goes. Raises RuntimeError where it is not done."""
        folder.mkdir()
        order = Order(tuple(words), folder, None, self.environment, None, counted=True)
        (ended,) = together(self.context, [order])
        if ended.code != 0:
            raise RuntimeError(f"wgan {' '.join(words)} ended with {ended.code}: {ended.last_line}")
        events = int((folder / COUNTED).read_text())
        (folder / COUNTED).unlink()
        return Reach(ended.seconds, events, tuple(sorted(len(content) for content in files(folder).values())))


def _both(first: Callable[[], object] | None, second: Callable[[], object]) -> None:
    if first is not None:
        first()
    second()


def files(folder: Path) -> dict[str, bytes]:
    """What lies below a folder under names of its own: temporary files and locks have a dot before theirs."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts):
            found[path.relative_to(folder).as_posix()] = path.read_bytes()
    return found


def left_over(folder: Path) -> list[str]:
    """Temporary files that stay once those of ended processes are swept, as the next write into their folder does."""
    for place, _, _ in os.walk(folder):
        sweep(Path(place))
    return [path.name for path in folder.rglob(".*.tmp")]
