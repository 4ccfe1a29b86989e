"""A batch computed by threads side by side, each its own rows: how a CPU with several cores trains.

Threads that share every operator wait for each other at its end, hundreds of times a step, and OpenMP's wait is a
spin: beside another busy program they burn the time that they wait for, and a step takes ten times as long. Lanes meet
where the batch has something in common (the means of a BatchNorm, the end of a step) and sleep until then: alone as
quick, beside others a fair share.

What a step computes depends on the number of lanes and of their threads, to the bit, and on nothing else: not on
how busy the machine is.
"""

import functools
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from functools import partial, reduce
from typing import Any, TypeVar

import torch
from torch import Tensor

from wgan.serve.backends.pytorch.device import threads
from wgan.serve.base.pipeline import Pipeline
from wgan.training.config import Config
from wgan.training.step.batch import Batch, cut
from wgan.training.step.flops import Passes, count_flops
from wgan.training.step.watch import Watched

Result = TypeVar("Result")
Backward = Callable[[Tensor], None]

FEWEST_ROWS = 8  # images of a lane: narrower products keep a core less busy
FEWEST_FLOPS = 1e8  # of a critic step in a lane: below, a step is Python's work and one thread does it best


class Lanes:
    """``count`` lanes of ``threads`` threads each; one lane is the plain computation.

    Args:
        count: lanes, each with an equal share of the rows of a batch.
        threads: on each operator of a lane.
    """

    def __init__(self, count: int, threads: int):
        self.count, self.threads = count, threads
        self._barrier = threading.Barrier(count)
        self._slots: list[list[Tensor | None]] = [[None] * count, [None] * count]
        self._here = threading.local()
        self._error: BaseException | None = None
        self._pipeline: Pipeline[Any] = Pipeline(max(1, count - 1))  # the caller's thread is one more
        weakref.finalize(self, self._pipeline.stop)

    def differentiate(
        self, parameters: Iterable[Tensor], work: Callable[[Backward, Batch], Iterator[Watched]], batch: Batch
    ) -> list[Watched]:
        """Adds up the gradients of what ``work`` gives to its backward pass; what it yields, lane by lane.

        Args:
            parameters: get the sums of all lanes as their gradients.
            work: called with a backward pass for scalars, and with a lane's share of ``batch``.
            batch: its tensors are shared out by rows.
        """
        if self.count == 1:
            return list(work(Tensor.backward, batch))
        weights = [weight for weight in parameters if weight.requires_grad]

        def lane(number: int) -> tuple[list[Tensor | None], list[Watched]]:
            sums: list[Tensor | None] = [None] * len(weights)

            def backward(loss: Tensor) -> None:
                # not into the weights, where lanes would add in the order in which they come
                sums[:] = map(_sum, sums, torch.autograd.grad(loss, weights, allow_unused=True))

            watched = list(work(backward, cut(batch, self.count)[number]))
            return sums, watched

        results = self.run(lane)
        for weight, *gradients in zip(weights, *(sums for sums, _ in results), strict=True):
            total = reduce(_sum, gradients, weight.grad)
            # laid out as the weight is: fused Adam takes that for granted
            weight.grad = None if total is None else torch.empty_like(weight).copy_(total)
        return [values for _, watched in results for values in watched]

    def run(self, work: Callable[[int], Result]) -> list[Result]:
        """What ``work`` gives for each lane, called with its number, all at once.

        Raises:
            BaseException: the first that a lane raised; the others have ended too.
        """
        self._barrier.reset()
        self._error = None
        with threads(self.threads):
            try:
                return self._pipeline.together([partial(self._lane, number, work) for number in range(self.count)])
            except threading.BrokenBarrierError as error:
                raise self._error or error from None

    @property
    def first(self) -> bool:
        """Whether the caller is in the first lane."""
        return bool(self._here.lane == 0)

    def gather(self, value: Tensor) -> list[Tensor]:
        """The ``value`` of every lane, in their order, in every lane: each has to come here as often as the others."""
        turn, self._here.turn = self._here.turn, self._here.turn + 1
        slots = self._slots[turn % 2]  # in turn: no lane is two meetings ahead of another
        slots[self._here.lane] = value
        self._barrier.wait()
        return [result for result in slots if result is not None]

    def _lane(self, number: int, work: Callable[[int], Result]) -> Result:
        self._here.turn, self._here.lane = 0, number
        torch.set_num_threads(self.threads)  # this thread's
        try:
            return work(number)
        except BaseException as error:
            if not isinstance(error, threading.BrokenBarrierError):
                self._error = self._error or error
            self._barrier.abort()  # nobody waits for this one
            raise


def lanes_for(config: Config, device: torch.device, processes: int = 1, possible: bool = True) -> Lanes:
    """As many lanes as torch's threads can keep busy with a process's share of a batch.

    Threads that are left over share operators, in every lane. Equal shares of whole groups of images only: another
    cut would be another batch.
    """
    count = torch.get_num_threads()
    if device.type != "cpu" or count == 1:
        return Lanes(1, count)
    parts = config.accumulate * processes
    flops = _critic_flops(config.replace(progressive=False)) / parts
    if flops / count < FEWEST_FLOPS:
        return Lanes(1, 1)
    if not possible:
        return Lanes(1, count)
    rows = config.batch_size // parts
    group = config.minibatch_group if config.minibatch != "none" else 1
    lanes = next((n for n in range(min(count, rows // FEWEST_ROWS), 1, -1) if rows % (n * group) == 0), 1)
    return Lanes(lanes, count // lanes)


def _sum(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    return b if a is None else a if b is None else a + b


@functools.lru_cache(maxsize=16)
def _critic_flops(config: Config) -> int:
    """Of a critic step; counting takes as long as many steps of a small network."""
    return count_flops(Passes(config).critic_step)
