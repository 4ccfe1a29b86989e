"""The processes that torchrun started, joined: what they tell each other, and what each says when one is lost."""

import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from wgan.serve.base.errors import TrainingError, WganError
from wgan.serve.base.files import writing
from wgan.serve.base.terminal import short
from wgan.training.distributed.interface import towards_the_others
from wgan.training.distributed.launch import RESTARTS, launched, number, who
from wgan.training.distributed.world import World

TIMEOUT = timedelta(minutes=30)  # the first process validates and decodes images alone
MEETING = timedelta(minutes=5)  # nothing but imports comes before
PAUSE = 0.02  # seconds between two looks at who has come
ENDED = "ended"  # key of the first process that ended by an error, and of its line
Value = TypeVar("Value")


class Lost(TrainingError):
    """A connection to another process broke, and nothing says why."""


class _Group(World):
    """The processes that torchrun started, joined by gloo; gradients on GPUs go by NCCL.

    Flags go by the CPU: they must not wait for the GPU, and a lost process is noticed at once.
    """

    def __init__(self) -> None:
        towards_the_others()
        self._store: Any = None
        with self._telling_of_losses(unreachable):
            store, self.rank, self.size = next(rendezvous("env://", timeout=MEETING))
            self._store = PrefixStore(_met(PrefixStore("wgan", store), self.rank, self.size), store)
            distributed.init_process_group(
                "gloo", store=self._store, rank=self.rank, world_size=self.size, timeout=TIMEOUT
            )
        self._others = self.gather(who(self.rank))

    def compute_on(self, device: torch.device) -> None:
        if device.type == "cuda":
            with self._telling_of_losses(unreachable):
                self.computing = distributed.new_group(backend="nccl", timeout=TIMEOUT)

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = self.total(torch.cat([gradient.flatten() for gradient in gradients])).div_(self.size)
        parts = flat.split([gradient.numel() for gradient in gradients])
        torch._foreach_copy_(gradients, [part.view_as(g) for part, g in zip(parts, gradients, strict=True)])

    def total(self, values: Tensor) -> Tensor:
        with self._telling_of_losses():
            distributed.all_reduce(values, group=self.computing)
        return values

    def agreed(self, flag: bool) -> bool:
        return self._sum(float(flag and self.first)) > 0

    def any(self, flag: bool) -> bool:
        return self._sum(float(flag)) > 0

    def _sum(self, value: float) -> float:
        held = torch.tensor(value)
        with self._telling_of_losses():
            distributed.all_reduce(held)
        return held.item()

    def same(self, make: Callable[[], Value]) -> Value:
        held = [make() if self.first else None]
        with self._telling_of_losses():
            distributed.broadcast_object_list(held, src=self.leader)
        return held[0]  # type: ignore[return-value]

    def gather(self, value: Value) -> list[Value]:
        held: list[Any] = [None] * self.size
        with self._telling_of_losses():
            distributed.all_gather_object(held, value)
        return held

    def who(self, rank: int) -> str:
        return self._others[rank]

    def wait(self) -> None:
        self._sum(0.0)

    @contextmanager
    def once_a_disk(self, folder: Path) -> Iterator[None]:
        mark = folder / f".process-{self.rank}-{secrets.token_hex(8)}"
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            mark.touch()
        try:
            marks = self.gather(mark.name)
            mine = next(rank for rank, name in enumerate(marks) if (folder / name).exists()) == self.rank
            self.wait()
        finally:
            mark.unlink(missing_ok=True)
        if not mine:
            self.wait()
        yield
        if mine:
            self.wait()

    def close(self) -> None:
        if distributed.is_initialized():
            distributed.destroy_process_group()

    def __exit__(self, *raised: object) -> None:
        for error in raised[1:2]:
            if isinstance(error, BaseException) and not isinstance(error, Lost):
                self._tell_why(error)
        self.close()

    def _tell_why(self, error: BaseException) -> None:
        """Leaves word for the others, whose connections break as this process ends."""
        said = " ".join(str(error).split()) if isinstance(error, WganError) else type(error).__name__
        with suppress(RuntimeError, ValueError):  # whoever holds the store may be lost too
            self._store.compare_set(ENDED, "", f"{who(self.rank)} ended: {said}")

    @contextmanager
    def _telling_of_losses(self, lost: Callable[[str], str] | None = None) -> Iterator[None]:
        """What a broken connection raises becomes one line: why the other process ended, or that it is lost."""
        try:
            yield
        except (RuntimeError, ValueError) as error:
            with suppress(RuntimeError, ValueError):
                if self._store is not None and self._store.check([ENDED]):
                    raise TrainingError(self._store.get(ENDED).decode()) from None
            raise Lost((lost or gone)(short(error))) from None


def gone(reason: str) -> str:
    """The line of a process that was there and is lost."""
    return (
        "another process of this run was lost: start torchrun again with --resume, or let it do so by itself "
        f"(--max-restarts): {reason}"
    )


def unreachable(reason: str) -> str:
    """The line of processes that do not come together."""
    return (
        "the processes of this run do not reach each other: `wgan doctor --distributed`, started by the same torchrun "
        f"in place of wgan train, says what is wrong: {reason}"
    )


def _met(store: Any, rank: int, size: int) -> str:
    """A name that the processes of this start share, and none of an earlier one that left its words in ``store``.

    torchrun keeps its store over a restart, and counts restarts on each machine by itself. So each process draws a
    number that no other ever had, and the first answers all of them with the name until all have heard it.
    """
    if rank:
        answer = f"answer-{store.add('came', 1)}"
        store.wait([answer], MEETING)
        name: str = store.get(answer).decode()
        store.add(name, 1)
        return name
    name, answered, until = f"wgan-{secrets.token_hex(8)}", 0, time.monotonic() + MEETING.total_seconds()
    while store.add(name, 0) < size - 1:
        if time.monotonic() > until:
            raise RuntimeError(f"{store.add(name, 0) + 1} of {size} came within {MEETING}")
        came = store.add("came", 0)
        for each in range(answered + 1, came + 1):
            store.set(f"answer-{each}", name)
        answered = came
        time.sleep(PAUSE)
    return name


def join(device: torch.device | None = None) -> World:
    """The processes that torchrun started with this one; alone without it. A context manager.

    An error that leaves it ends the others too, each with the line of this one.

    Args:
        device: where to compute, if that is known yet.

    Raises:
        ConfigError: what torchrun puts into the environment is not there, or is no number.
        TrainingError: they cannot be reached.
    """
    if not launched():
        return World()
    for name in ("RANK", "MASTER_PORT"):
        number(name, None)
    number("LOCAL_RANK", 0)
    number(RESTARTS, 0)
    world = _Group()
    if device is not None:
        world.compute_on(device)
    return world
