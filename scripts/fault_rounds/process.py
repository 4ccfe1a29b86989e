"""`wgan` in processes of its own that may be killed: forks of one server that has torch and ONNX Runtime loaded.

So a round takes a second, not the start of Python with torch, and what is killed is a process all the same.
"""

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path

from fault_rounds.blow import Blow, count_events

PRELOADED = ["fault_rounds.preload", "wgan.training.run.loop", "torch._dynamo", "torch.utils.tensorboard"]
LIMIT = 120.0  # seconds after which a command hangs: it takes one or two
BEGUN = b"\0"
COUNTED = ".events"  # the file in which an unbroken command leaves how many file events it had


@dataclass(frozen=True)
class Order:
    """A command of `wgan` in the folder ``root``, and what befalls it.

    ``before`` is called in the process before the command, with nothing: a test breaks a writer by it.
    """

    words: Sequence[str]
    root: Path
    blow: Blow | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    before: Callable[[], object] | None = None
    counted: bool = False


@dataclass
class Ended:
    """How it ended: its exit code, negative for a signal, and all that it said."""

    order: Order
    code: int
    seconds: float
    said: str
    hung: bool = False
    excused: bool = False  # what it needs was out of reach, so it may give up by a line of its own

    @property
    def gave_up(self) -> bool:
        """Whether it ended by a line, as it had to."""
        return self.excused and self.code == 2

    @property
    def struck(self) -> str | None:
        """The kind of blow that it met; None where it was done before."""
        return self.order.blow.kind if self.order.blow is not None and self.code != 0 and not self.gave_up else None

    @property
    def last_line(self) -> str:
        """The last that it said."""
        return next((line for line in reversed(self.said.splitlines()) if line), "nothing said")


def forks() -> ForkServerContext:
    """The context to make them in. Threads of torch are one a process: bits depend on their number."""
    os.environ["OMP_NUM_THREADS"] = "1"
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


def obey(order: Order, said: Connection) -> None:
    """In the new process: the command, as `wgan` would run it."""
    os.chdir(order.root)
    os.environ.update(order.environment)
    for stream in (1, 2):
        os.dup2(said.fileno(), stream)
    from wgan.cli import main

    if order.before is not None:
        order.before()
    events = 0
    if order.counted:
        count = count_events(order.root)

        def hook(name: str, arguments: tuple[object, ...]) -> None:
            nonlocal events
            events = max(events, count(name, arguments))

        sys.addaudithook(hook)
    os.write(said.fileno(), BEGUN)
    if order.blow is not None:
        order.blow.arm(order.root)
    code = main(list(order.words))
    if order.counted:
        (order.root / COUNTED).write_text(str(events))
    os._exit(code)  # as a killed one it runs nothing more; what it said is flushed


@dataclass
class _Running:
    order: Order
    process: BaseProcess
    reader: Connection
    began: float | None = None
    said: bytes = b""
    open: bool = True
    signals: list[tuple[float, signal.Signals]] = field(default_factory=list)

    def read(self) -> None:
        """Takes what has come; the first byte says that the command has begun."""
        try:
            more = os.read(self.reader.fileno(), 65536)
        except OSError:
            more = b""
        self.open = bool(more)  # of one that was killed before it began nothing comes, and its end at once
        self.said += more
        if self.began is None and self.said.startswith(BEGUN):
            self.began, self.said = time.monotonic(), self.said[1:]
            self.signals = list(self.order.blow.signals) if self.order.blow is not None else []

    def strike(self) -> float:
        """Sends the signals that are due; seconds until the next, 1 where there is none."""
        while self.began is not None and self.signals:
            after, number = self.signals[0]
            if (left := self.began + after - time.monotonic()) > 0:
                return left
            self.signals.pop(0)
            if self.process.pid is not None and self.process.exitcode is None:
                os.kill(self.process.pid, number)
        return 1.0


def together(
    context: ForkServerContext,
    orders: Sequence[Order],
    meanwhile: Callable[[Sequence[BaseProcess]], None] | None = None,
) -> list[Ended]:
    """Runs them at the same time until all have ended; ``meanwhile`` is called with them again and again."""
    running = [_start(context, order) for order in orders]
    until, hung = time.monotonic() + LIMIT, set[int]()
    try:
        while alive := [each for each in running if each.process.exitcode is None]:
            pause = min(each.strike() for each in alive)
            ready = wait(
                [*(each.process.sentinel for each in alive), *(each.reader for each in alive)], min(pause, 0.05)
            )
            for each in alive:
                if each.reader in ready:
                    each.read()
            if meanwhile is not None:
                meanwhile([each.process for each in running])
            if time.monotonic() > until:
                hung |= {id(each) for each in alive}
                for each in alive:
                    each.process.kill()
    finally:
        for each in running:
            each.process.kill()
            each.process.join()
    return [_ended(each, id(each) in hung) for each in running]


def _start(context: ForkServerContext, order: Order) -> _Running:
    reader, writer = context.Pipe(duplex=False)
    process = context.Process(target=obey, args=(order, writer), daemon=True)
    process.start()
    writer.close()
    return _Running(order, process, reader)


def _ended(each: _Running, hung: bool) -> Ended:
    while each.open and each.reader.poll(0):  # a child of its own may still hold the pipe: nobody waits for its end
        each.read()
    each.reader.close()
    code = each.process.exitcode
    assert code is not None
    seconds = time.monotonic() - each.began if each.began is not None else 0.0
    return Ended(each.order, code, seconds, each.said.decode("utf-8", "replace"), hung)
