"""A set of shards made by a cluster: one attempt a shard, until every shard is whole."""

import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from wgan.serve.backends.base import Options
from wgan.serve.backends.open import Readable
from wgan.serve.base.address import Address
from wgan.serve.base.command import called_now
from wgan.serve.base.errors import OutputError, WganError
from wgan.serve.base.progress import Callback, counter
from wgan.serve.base.temporary import sweep
from wgan.serve.base.terminal import counted, detail, say, say_once
from wgan.serve.fleet.cluster import Cluster, Lost, Share
from wgan.serve.fleet.schedule import Attempt, Schedule
from wgan.serve.fleet.shim import attempt_function
from wgan.serve.fleet.tally import Losses, Tally
from wgan.serve.fleet.worker import Elsewhere, Order, Setting, folder_here, versions
from wgan.serve.latents.sources import in_memory
from wgan.serve.outputs.shards import Part, ShardSet
from wgan.serve.sampling.run import Job

TICK = 1.0  # seconds between two looks at what has ended
QUIET = 10.0  # seconds without an answer before it is said what is waited for
LEAVE = 10.0  # seconds for cancelled attempts to remove what they have half written
SEEN = 70.0  # seconds in which a shard of another machine must be seen here: NFS may take 60


class WorkerError(WganError):
    """What a worker said, with its exit code: the line is that of a single machine."""

    def __init__(self, line: str, exit_code: int):
        super().__init__(line)
        self.exit_code = exit_code


class Fleet:
    """Workers of a cluster that all run one generator.

    Args:
        cluster: that they belong to.
        model: what they open.
        backend: that runs it.
        device: auto, cpu or cuda. For auto it is a GPU where the cluster has some and the generator runs there.
        options: of the backend.
    """

    def __init__(self, cluster: Cluster, model: Readable, backend: str, device: str, options: Options):
        self._cluster = cluster
        self._setting = Setting(model, backend, device, options, called_now())
        self._versions = versions(backend)
        cpus, gpus = options.threads or 1, device == "cuda" or (device == "auto" and cluster.has_gpus())
        self._shares = [Share(1, gpus=1)] * gpus + [Share(cpus)] * (device != "cuda")  # the first that it runs on
        self._hire()

    def known(self) -> Elsewhere:
        """The generator, as the first worker has it open; the others must have the same. Raises as opening it does."""
        losses = Losses()
        while True:
            try:
                found = self._first()
            except Lost as lost:
                losses.add(lost, self._slots())
                continue
            opened: Elsewhere = found["known"]
            self._versions = {**found["versions"], **self._versions}  # of a runtime that is not installed here too
            if opened.device == "cuda" or len(self._shares) == 1:
                return opened
            del self._shares[0]  # it was left to the worker, which takes no GPU: then none is kept for it
            self._hire()

    def make(self, job: Job, shards: ShardSet, part: Part) -> tuple[Tally, int]:
        """The shards of ``part`` that are not there yet: what was done for them, and how many were there.

        ``job``: of what `known` returned. Raises WganError; shards that are whole by then stay. However it ends, no
        attempt runs on.
        """
        numbers = job.claim(shards, part, say)
        there = len(shards.of(part)) - len(numbers)
        tally = Tally(total=sum(shards[number].count for number in numbers))
        if not numbers:
            return tally, there
        order = Order(shards, in_memory(job.source), job.label, job.batch_size, job.shrink is not None, folder_here())
        reference = self._cluster.put(order)
        flying: dict[Any, Attempt] = {}
        try:
            with self._leaving(flying), counter("sampling", speed=True) as progress:
                self._run(Schedule(numbers), reference, flying, tally, progress)
        finally:
            if not isinstance(shards.path, Address):
                sweep(shards.path.parent)  # what killed workers of this machine left
        self._see(shards, numbers)
        return tally, there

    def _hire(self) -> None:
        self._submit = self._cluster.task(attempt_function(), self._shares[0])
        self._reference = self._cluster.put(self._setting)

    def _begin(self, order: Any = None, number: int | None = None) -> Any:
        # in a list a reference is sent as such: a worker follows it once, not at each attempt
        return self._submit([str(self._reference), self._versions, self._reference, order], number)

    def _slots(self) -> int:
        return self._cluster.slots(self._shares[0])[0]

    def _first(self) -> dict[str, Any]:
        reference, waiting = self._begin(), _Waiting()
        while not self._cluster.ended([reference], TICK):
            waiting.tell(self._shares[0], self._slots())
        return self._answered(reference)

    def _answered(self, reference: Any) -> dict[str, Any]:
        """What a worker answered. Raises WorkerError, Lost, and what no line was written for."""
        found: dict[str, Any] = self._cluster.result(reference)
        if "error" in found:
            raise WorkerError(found["error"], found["exit_code"])
        return found

    def _run(self, schedule: Schedule, order: Any, flying: dict[Any, Attempt], tally: Tally, show: Callback) -> None:
        """Until every shard is whole. ``flying``: the attempts that were handed out and have not ended."""
        waiting, losses, total = _Waiting(), Losses(), schedule.left
        while not schedule.ended:
            slots, nodes = self._cluster.slots(self._shares[0])
            while (attempt := schedule.start(time.monotonic(), slots)) is not None:
                flying[self._begin(order, attempt.shard)] = attempt
            ended = self._cluster.ended(list(flying), TICK)
            for reference in ended:
                attempt = flying.pop(reference)
                try:
                    found = self._answered(reference)
                except Lost as lost:
                    if schedule.lost(attempt):
                        detail(f"shard {attempt.shard}: an attempt was lost: {lost}")
                        losses.add(lost, slots)
                    continue
                losses.clear()
                say_once(tally.add(found))
                schedule.done(attempt, time.monotonic())
            tally.count(schedule)
            show(tally.images, tally.total, f"{total - schedule.left}/{total} shards, {counted(nodes, 'node')}")
            if ended:
                waiting = _Waiting()
            elif not slots:
                waiting.tell(self._shares[0], slots)

    @contextmanager
    def _leaving(self, references: Collection[Any]) -> Iterator[None]:
        """Ends what of these still runs when the block is left, by Ctrl-C too, and lets it remove what is half written.

        ``references``: of attempts; those that have ended may be taken out meanwhile.
        """
        try:
            yield
        finally:
            key = str(self._reference)
            self._cluster.stop(key)
            self._cluster.wait_all(list(references), LEAVE)
            self._cluster.forget(key)

    def _see(self, shards: ShardSet, numbers: Sequence[int]) -> None:
        """Raises OutputError where what other machines wrote is not seen from here: it lies on disks of their own."""
        began, unseen = time.monotonic(), set(numbers)
        while unseen := unseen - shards.present(unseen):
            if time.monotonic() - began > SEEN:
                raise OutputError(
                    f"{counted(len(unseen), 'shard')} such as {shards[min(unseen)].path} were made and are not seen "
                    "from here: --out must be in a folder that all nodes share, or in object storage"
                )
            time.sleep(TICK)


class _Waiting:
    """Says once what is waited for, when nothing has come for a while."""

    def __init__(self) -> None:
        self._began, self._told = time.monotonic(), False

    def tell(self, share: Share, slots: int) -> None:
        """Nothing has come yet."""
        if not self._told and time.monotonic() - self._began > QUIET:
            self._told = True
            say(f"waiting for a {share} of the cluster: {'all are taken' if slots else 'it has none now'}")
