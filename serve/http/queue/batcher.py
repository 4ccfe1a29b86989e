"""Requests become batches: a bounded queue of images, and workers that take each batch from seeds to bytes.

A worker never waits for a batch to fill: it takes what is there, up to its size, from as many requests as that takes.
So an idle server answers one image as soon as it can, and a busy one makes full batches. A request's own time ends in
the queue too: what nobody waits for any more is not made.
"""

import asyncio
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np

from wgan.serve.http.limits.refusals import Refusal
from wgan.serve.http.queue.metrics import Metrics
from wgan.serve.http.queue.wanted import Wanted

SOON, LOOK = 1.0, 0.1  # seconds: a deadline that has a timer of its own, and between two looks at all others

Finish = Callable[[np.ndarray], Any]  # from the request's images, as the backend gave them, to its answer


class Job:
    """One request in the queue.

    Its ``future`` ends with what ``finish`` returned, or with a `Refusal` or what else was raised. Who no longer wants
    it cancels the future or calls `fail`.
    """

    def __init__(self, batcher: "Batcher", wanted: Wanted, finish: Finish, deadline: float):
        self.batcher, self.wanted, self.finish, self.deadline = batcher, wanted, finish, deadline
        self.future: asyncio.Future[Any] = batcher.loop.create_future()
        self.began = time.monotonic()
        self.taken = 0  # images that workers have taken
        self.parts: list[tuple[int, np.ndarray]] = []  # of a request that no batch holds whole
        self.timers: list[asyncio.TimerHandle] = []

    @property
    def left(self) -> int:
        """Images that no worker has taken."""
        return self.wanted.count - self.taken

    def fail(self, error: Exception) -> None:
        """Ends it, on the loop's thread."""
        if not self.future.done():
            self.future.set_exception(error)

    def late(self) -> None:
        """Its time is over."""
        self.batcher.refuse(self, Refusal.late())

    def ended(self, _: object) -> None:
        """Its future has ended."""
        self.batcher.forget(self)


class Batcher:
    """The queue. All methods but `take` and `deliver` belong to the thread of ``loop``.

    Args:
        limit: images that wait at a time.
        most: images in a batch.
        max_waiting: requests that wait for room in the queue.
        metrics: is told of refusals.
    """

    def __init__(self, limit: int, most: int, max_waiting: int, metrics: Metrics):
        self.loop = asyncio.get_running_loop()
        self._limit, self._most, self._max_waiting, self._metrics = limit, most, max_waiting, metrics
        self._changed = threading.Condition()
        self._jobs: OrderedDict[Job, None] = OrderedDict()
        self._waiting: OrderedDict[Job, None] = OrderedDict()  # for room; of the loop's thread alone
        self._queued = 0
        self._closed = False
        self._underway: set[Job] = set()  # their futures are open
        self._looking: asyncio.TimerHandle | None = None
        self._made, self._since = 0, time.monotonic()

    @property
    def queued(self) -> int:
        """Images in the queue."""
        return self._queued

    @property
    def idle(self) -> bool:
        """Whether nothing is asked for."""
        return not self._underway

    def put(self, wanted: Wanted, finish: Finish, deadline: float, patience: float) -> Job:
        """Queues a request; its job's future has the answer.

        Args:
            wanted: at most as many images as the queue holds.
            finish: called on a worker's thread.
            deadline: of `time.monotonic`; after it, the images are not made.
            patience: seconds to wait for room before it is refused. A refusal at once would be answered by another
                request at once, and the server would do nothing but refuse.

        Raises:
            Refusal: as many wait already as may.
        """
        if self._closed:
            raise Refusal.draining()
        job = Job(self, wanted, finish, deadline)
        if self._waiting or not self._admit(job):
            if len(self._waiting) >= self._max_waiting:
                self._metrics.refused("waiting_full")
                raise self._full()
            self._waiting[job] = None
            job.timers.append(self.loop.call_later(patience, lambda: self._out_of_patience(job)))
        if deadline - job.began <= SOON:
            job.timers.append(self.loop.call_later(max(0.0, deadline - job.began), job.late))
        elif self._looking is None:
            self._looking = self.loop.call_later(LOOK, self._look)
        self._underway.add(job)
        job.future.add_done_callback(job.ended)
        return job

    def refuse(self, job: Job, refusal: Refusal) -> None:
        """Ends a job with a refusal, which is counted."""
        if not job.future.done():
            self._metrics.refused(refusal.code)
            job.fail(refusal)

    def take(self, wait: bool) -> list[tuple[Job, int, int]] | None:
        """The next batch, in order: jobs and which of their images. On a worker's thread.

        None where there is nothing to do: if ``wait``, then because the batcher is closed.
        """
        late = []
        with self._changed:
            while not self._jobs:
                if self._closed or not wait:
                    return None
                self._changed.wait()
            now, room, batch = time.monotonic(), self._most, []
            while self._jobs and room:
                job = next(iter(self._jobs))
                if now >= job.deadline or job.future.done():
                    self._drop(job)
                    late.append(job)
                    continue
                count = min(room, job.left)
                batch.append((job, job.taken, job.taken + count))
                job.taken += count
                self._queued -= count
                room -= count
                if not job.left:
                    del self._jobs[job]
        if late or self._waiting:
            self.on_loop(self._freed, late)
        return batch or self.take(wait)

    def deliver(self, answers: list[tuple[Job, Any]], made: int) -> None:
        """Gives each job its answer, an exception among them. On a worker's thread."""
        self.on_loop(self._deliver, answers, made)

    def on_loop(self, function: Callable[..., None], *values: Any) -> None:
        """Calls it on the loop's thread, unless the loop has ended."""
        with suppress(RuntimeError):  # it is closed: a second signal ended the server
            self.loop.call_soon_threadsafe(function, *values)

    def abandon(self) -> None:
        """Refuses all that is under way: the server cannot wait any longer."""
        for job in list(self._underway):
            self.refuse(job, Refusal.draining())

    def close(self) -> None:
        """Lets the workers end once the queue is empty; refuses what comes now."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _admit(self, job: Job) -> bool:
        """Puts it into the queue if there is room."""
        if job.future.done():
            return True
        with self._changed:
            # an empty queue takes any request: one that is larger than the queue would never be made
            if self._queued and self._queued + job.wanted.count > self._limit:
                return False
            if not self._queued:
                self._made, self._since = 0, time.monotonic()  # speed is that of a queue at work, not of an idle hour
            self._jobs[job] = None
            self._queued += job.wanted.count
            self._changed.notify()
        return True

    def _freed(self, late: list[Job]) -> None:
        """After a batch was taken: those that wait may come in, in their order."""
        for job in late:
            job.late()
        while self._waiting:
            job = next(iter(self._waiting))
            if not self._admit(job):
                return
            del self._waiting[job]

    def _look(self) -> None:
        """Ends what is late, of all that is under way: a timer for each would cost more than its share of this."""
        now = time.monotonic()
        for job in [job for job in self._underway if now >= job.deadline]:
            job.late()
        self._looking = self.loop.call_later(LOOK, self._look) if self._underway else None

    def _out_of_patience(self, job: Job) -> None:
        if job in self._waiting:
            self.refuse(job, self._full())

    def _full(self) -> Refusal:
        """The refusal, with the time that the queue takes at the speed seen so far."""
        speed = self._made / max(1e-3, time.monotonic() - self._since)
        return Refusal.full(min(60, max(1, math.ceil(self._queued / speed))) if speed else 1)

    def _deliver(self, answers: list[tuple[Job, Any]], made: int) -> None:
        now = time.monotonic()
        if now - self._since > 10:  # the speed of the last seconds
            self._made, self._since = self._made // 2, (now + self._since) / 2
        self._made += made
        for job, answer in answers:
            if not job.future.done():
                if isinstance(answer, Exception):
                    job.future.set_exception(answer)
                else:
                    job.future.set_result(answer)

    def forget(self, job: Job) -> None:
        """After a job has ended, however it did."""
        self._underway.discard(job)
        for timer in job.timers:
            timer.cancel()
        self._waiting.pop(job, None)
        if job.left:
            with self._changed:
                self._drop(job)
            self._freed([])

    def _drop(self, job: Job) -> None:
        """Takes what is left of a job out of the queue. With the lock."""
        if job in self._jobs:
            del self._jobs[job]
            self._queued -= job.left
            # nothing is left of it for a worker
            job.taken = job.wanted.count
