"""Several processes that train as one: each computes a share of every batch, gradients are averaged.

Every process draws the random numbers of the whole batch and keeps its own rows. So a run on eight GPUs is the
run on one, up to rounding, its checkpoint needs no word from the other processes, and it can be gone on with on
another number of them.

Gradients are averaged here and not by DistributedDataParallel: that hooks into one backward pass, and the penalty,
accumulation and recomputed activations each make it more than one.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Self, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from wgan.serve.base.errors import ConfigError, TrainingError

TIMEOUT = timedelta(minutes=30)  # the first process validates and decodes images alone
RESTARTS = "TORCHELASTIC_RESTART_COUNT"
Rows = TypeVar("Rows", bound=Any)  # a tensor or an array
Value = TypeVar("Value")


class World:
    """The processes of a run; alone, there is only this one and nothing to do."""

    rank, size = 0, 1

    @property
    def first(self) -> bool:
        """Whether this process writes, speaks and validates."""
        return self.rank == 0

    def share(self, rows: Rows) -> Rows:
        """This process's rows of a whole batch (N, ...)."""
        each = len(rows) // self.size
        mine: Rows = rows[self.rank * each : (self.rank + 1) * each]
        return mine

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

    def differ(self, value: Value) -> bool:
        """Whether ``value`` is another in any process than in the first."""
        return self.any(self.same(lambda: value) != value)

    def wait(self) -> None:
        """Until all processes are here."""

    @contextmanager
    def first_alone(self) -> Iterator[None]:
        """The first process runs the block before the others do."""
        if not self.first:
            self.wait()
        yield
        if self.first:
            self.wait()

    def close(self) -> None:
        """Leaves the others."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Group(World):
    """The processes that torchrun started, joined by NCCL on GPUs and by gloo on CPUs."""

    def __init__(self, device: torch.device):
        with _telling_of_losses():
            store, rank, size = next(rendezvous("env://", timeout=TIMEOUT))
            # the launcher may keep its store over a restart, with the addresses of processes that are gone
            store = PrefixStore(f"wgan-{os.environ.get(RESTARTS, '0')}", store)
            backend = "nccl" if device.type == "cuda" else "gloo"
            distributed.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=TIMEOUT)
            # flags go by the CPU: they must not wait for the GPU, and a lost process is noticed at once
            self._control: Any = distributed.new_group(backend="gloo", timeout=TIMEOUT)
        self.rank, self.size = distributed.get_rank(), distributed.get_world_size()

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = self.total(torch.cat([gradient.flatten() for gradient in gradients])).div_(self.size)
        parts = flat.split([gradient.numel() for gradient in gradients])
        torch._foreach_copy_(gradients, [part.view_as(g) for part, g in zip(parts, gradients, strict=True)])

    def total(self, values: Tensor) -> Tensor:
        with _telling_of_losses():
            distributed.all_reduce(values)
        return values

    def agreed(self, flag: bool) -> bool:
        return self._sum(float(flag and self.first)) > 0

    def any(self, flag: bool) -> bool:
        return self._sum(float(flag)) > 0

    def _sum(self, value: float) -> float:
        held = torch.tensor(value)
        with _telling_of_losses():
            distributed.all_reduce(held, group=self._control)
        return held.item()

    def same(self, make: Callable[[], Value]) -> Value:
        held = [make() if self.first else None]
        with _telling_of_losses():
            distributed.broadcast_object_list(held, src=0, group=self._control)
        return held[0]  # type: ignore[return-value]

    def wait(self) -> None:
        self._sum(0.0)

    def close(self) -> None:
        if distributed.is_initialized():
            distributed.destroy_process_group()


@contextmanager
def _telling_of_losses() -> Iterator[None]:
    """What a broken connection raises becomes one line."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:160]
        raise TrainingError(
            "another process of this run was lost: start torchrun again with --resume, or let it do so by itself "
            f"(--max-restarts): {reason}"
        ) from None


def _number(name: str, default: int | None, low: int = 0) -> int:
    """A whole number from ``low`` on that torchrun has put into the environment; without ``default`` it must be there.

    Raises:
        ConfigError: it is something else.
    """
    text = os.environ.get(name)
    if text is None and default is not None:
        return default
    if text is not None and text.isascii() and text.isdecimal() and len(text) < 10 and int(text) >= low:
        return int(text)
    fault = "is not set" if text is None else f"is {text[:40]!r}, not a whole number from {low} on"
    others = "" if name == "WORLD_SIZE" else f" and {name}"
    raise ConfigError(f"the environment's {name} {fault}: start with torchrun, or alone without WORLD_SIZE{others}")


def launched() -> bool:
    """Whether torchrun started this process as one of several. Raises ConfigError for a WORLD_SIZE that is none."""
    return _number("WORLD_SIZE", 1, low=1) > 1


def restarted() -> bool:
    """Whether torchrun has started the processes again after one was lost. Raises ConfigError as `launched`."""
    return _number(RESTARTS, 0) > 0


def own_device(device: torch.device) -> torch.device:
    """This process's device: with several processes on a machine, each has a GPU of its own.

    Raises:
        ConfigError: there are too few GPUs, or the environment does not say which process this is.
    """
    if device.type != "cuda" or not launched():
        return device
    local = _number("LOCAL_RANK", 0)
    if local >= torch.cuda.device_count():
        raise ConfigError(
            f"this machine shows {torch.cuda.device_count()} GPUs, too few for process {local}: "
            "start torchrun with a smaller --nproc-per-node"
        )
    torch.cuda.set_device(local)
    return torch.device("cuda", local)


def join(device: torch.device) -> World:
    """The processes that torchrun started with this one; alone without it. A context manager.

    Raises:
        ConfigError: what torchrun puts into the environment is not there, or is no number.
        TrainingError: they cannot be reached.
    """
    if not launched():
        return World()
    for name in ("RANK", "MASTER_PORT"):
        _number(name, None)
    _number("LOCAL_RANK", 0)
    _number(RESTARTS, 0)
    return _Group(device)
