"""Work done on threads, results in the order of the work, never more than a few in flight.

Not concurrent.futures: Ctrl-C may reach its caller while it holds a lock that its threads need, and then nothing ends.
A SimpleQueue has no lock that an exception could leave closed.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from queue import SimpleQueue
from threading import Thread
from typing import Generic, TypeVar

from wgan.serve.machine.cores import usable_cores

Result = TypeVar("Result")

_QUEUED_PER_THREAD = 4  # enough to ride out a slow batch, little enough for constant memory


class Pipeline(Generic[Result]):
    """Overlaps the caller with ``threads`` workers (by default one for each core this process may use)."""

    def __init__(self, threads: int | None = None):
        self._threads = threads or usable_cores()
        self._jobs: SimpleQueue[_Job[Result] | None] = SimpleQueue()
        self._ended: SimpleQueue[None] = SimpleQueue()
        self._begun = 0  # threads
        self._stopped = False
        self._queue: deque[_Job[Result]] = deque()
        self._limit = self._threads * _QUEUED_PER_THREAD

    def put(self, work: Callable[[], Result]) -> Iterator[Result]:
        """Queue ``work`` and yield the results that are ready, waiting where the queue is full.

        What a piece of work raised is raised here or in finish(), in its turn. The iterator must be used up.
        """
        job = _Job(work)
        self._queue.append(job)
        self._hand_over(job)
        while self._queue and (len(self._queue) > self._limit or self._queue[0].done):
            yield self._queue.popleft().result()

    def together(self, works: Sequence[Callable[[], Result]]) -> list[Result]:
        """Do all of it at once, the last piece on the caller's thread, and wait for all whatever one may raise."""
        *others, mine = [_Job(work) for work in works]
        for job in others:
            self._hand_over(job)
        mine.run()
        for job in others:
            job.wait()
        return [job.result() for job in (*others, mine)]

    def finish(self) -> Iterator[Result]:
        """Yield the results that are left, then end the threads."""
        while self._queue:
            yield self._queue.popleft().result()
        self.stop()

    def stop(self) -> None:
        """Drop what has not begun, wait for what has."""
        self._stopped = True
        for _ in range(self._begun):
            self._jobs.put(None)
        while self._begun:
            self._ended.get()
            self._begun -= 1
        self._queue.clear()

    def abandon(self) -> None:
        """Drop what has not begun, and wait for nothing: threads that sit in a request end with it."""
        self._stopped = True
        for _ in range(self._begun):
            self._jobs.put(None)
        self._begun = 0
        self._queue.clear()

    def _hand_over(self, job: "_Job[Result]") -> None:
        if self._begun < self._threads:
            Thread(target=self._work, name=f"wgan-pipeline-{self._begun}", daemon=True).start()
            self._begun += 1
        self._jobs.put(job)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            if not self._stopped:
                job.run()
        self._ended.put(None)


class _Job(Generic[Result]):
    """A piece of work, and what came of it."""

    def __init__(self, work: Callable[[], Result]):
        self._work = work
        self._ended: SimpleQueue[None] = SimpleQueue()
        self._error: BaseException | None = None
        self._value: Result

    def run(self) -> None:
        try:
            self._value = self._work()
        except BaseException as error:
            self._error = error
        self._ended.put(None)

    @property
    def done(self) -> bool:
        return not self._ended.empty()

    def wait(self) -> None:
        self._ended.put(self._ended.get())  # whoever asks next finds it ended too

    def result(self) -> Result:
        """Waits for it."""
        self.wait()
        if self._error is not None:
            raise self._error
        return self._value
