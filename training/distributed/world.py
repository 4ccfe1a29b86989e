"""The processes of a run, as every part of training sees them; alone, there is one and nothing to do."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

import torch
from torch import Tensor, nn

from wgan.training.distributed.launch import who

Rows = TypeVar("Rows", bound=Any)  # a tensor or an array
Value = TypeVar("Value")


class World:
    """The processes of a run; alone, there is only this one and nothing to do.

    Attributes:
        rank: which of them this is.
        size: how many there are.
        leader: the rank of the one that has the run's folder.
        computing: torch's group that gradients are averaged in; None: its usual one.
    """

    rank, size, leader = 0, 1, 0
    computing: Any = None

    @property
    def first(self) -> bool:
        """Whether this process writes, speaks and validates."""
        return self.rank == self.leader

    def share(self, rows: Rows) -> Rows:
        """This process's rows of a whole batch (N, ...)."""
        each = len(rows) // self.size
        mine: Rows = rows[self.rank * each : (self.rank + 1) * each]
        return mine

    def compute_on(self, device: torch.device) -> None:
        """Gradients are averaged on this device from now on."""

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Gives every process the mean of all processes' gradients."""

    def total(self, values: Tensor) -> Tensor:
        """The sum over all processes."""
        return values

    def agreed(self, flag: bool) -> bool:
        """The first process's answer, for all."""
        return flag

    def any(self, flag: bool) -> bool:
        """Whether it is so in any process."""
        return flag

    def same(self, make: Callable[[], Value]) -> Value:
        """What ``make`` gives in the first process, for all; the others do not call it."""
        return make()

    def gather(self, value: Value) -> list[Value]:
        """The values of all processes, by rank."""
        return [value]

    def differ(self, value: Value) -> bool:
        """Whether ``value`` is another in any process than in the first."""
        return len({*map(repr, self.gather(value))}) > 1

    def lead_by(self, value: float) -> None:
        """The process with the highest value is the first from now on; of equal ones the one of the lowest rank."""
        values = self.gather(value)
        self.leader = values.index(max(values))

    def who(self, rank: int) -> str:
        """`process 3 on node-b`."""
        return self.gather(who(self.rank))[rank]

    def wait(self) -> None:
        """Until all processes are here."""

    @contextmanager
    def once_a_disk(self, folder: Path) -> Iterator[None]:
        """Of the processes that see the same ``folder``, which is made, one runs the block before the others do."""
        yield

    def close(self) -> None:
        """Leaves the others."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
