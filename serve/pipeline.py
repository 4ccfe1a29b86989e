"""Work done on threads, results in the order of the work, never more than a few in flight."""

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

Result = TypeVar("Result")

_QUEUED_PER_THREAD = 4  # enough to ride out a slow batch, little enough for constant memory


class Pipeline(Generic[Result]):
    """Overlaps the caller with ``threads`` workers (by default one for each core this process may use)."""

    def __init__(self, threads: int | None = None):
        threads = threads or _cores()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="wgan-pipeline")
        self._queue: deque[Future[Result]] = deque()
        self._limit = threads * _QUEUED_PER_THREAD

    def put(self, work: Callable[[], Result]) -> Iterator[Result]:
        """Queue ``work`` and yield the results that are ready, waiting where the queue is full.

        What a piece of work raised is raised here or in finish(), in its turn. The iterator must be used up.
        """
        self._queue.append(self._pool.submit(work))
        while self._queue and (len(self._queue) > self._limit or self._queue[0].done()):
            yield self._queue.popleft().result()

    def finish(self) -> Iterator[Result]:
        """Yield the results that are left, then end the threads."""
        while self._queue:
            yield self._queue.popleft().result()
        self.stop()

    def stop(self) -> None:
        """Drop what has not begun, wait for what has."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
