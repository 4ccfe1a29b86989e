"""The threads that make the images of a `Batcher`'s batches, and encode each request's own.

A backend that several threads may run, as ONNX Runtime on the CPU, has as many workers as there are cores, each of
which takes a batch from seeds to bytes: nothing is handed from thread to thread. Any other has one runner, which feeds
`Backend.stream`, and encoders beside it.
"""

import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import numpy as np

from wgan.serve.backends.base import Backend, Batch
from wgan.serve.base.errors import BackendError, BackendOutOfMemory
from wgan.serve.base.terminal import say
from wgan.serve.http.limits.refusals import Refusal
from wgan.serve.http.queue.batcher import Batcher, Job
from wgan.serve.http.queue.metrics import Metrics
from wgan.serve.http.queue.wanted import inputs
from wgan.serve.machine.cores import usable_cores
from wgan.serve.outputs.pixels import to_uint8

Pieces = list[tuple[Job, int, int]]


class Workers:
    """Threads that work until their batcher is closed and empty.

    Args:
        backend: makes the images.
        batcher: gives them out.
        metrics: is told of each batch.
        count: workers, or encoders where there is one runner; None: one a core.
    """

    def __init__(self, backend: Backend, batcher: Batcher, metrics: Metrics, count: int | None = None):
        self._backend, self._batcher, self._metrics = backend, batcher, metrics
        self._joining = threading.Lock()
        self._failures = 0
        if backend.concurrent:
            targets = [self._work] * (count or usable_cores())
        else:
            targets = [self._stream]
            self._ahead = threading.Semaphore(2 * (count or usable_cores()))
            self._encoders = ThreadPoolExecutor(count or usable_cores(), "wgan-encoder")
        self._threads = [
            threading.Thread(target=target, name=f"wgan-worker-{number}", daemon=True)
            for number, target in enumerate(targets)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def alive(self) -> bool:
        """Whether any of them works, or may."""
        return any(thread.is_alive() for thread in self._threads)

    def _work(self) -> None:
        while (pieces := self._batcher.take(wait=True)) is not None:
            began = time.monotonic()
            try:
                images = self._backend.run(*self._inputs(pieces))
                self._finish(pieces, images, began, time.monotonic())
            except Exception as error:
                self._failed(pieces, error)

    def _stream(self) -> None:
        """Feeds the backend while there is work; a stream that waited for more would hold back what it has made."""
        while (first := self._batcher.take(wait=True)) is not None:
            under_way: deque[Pieces] = deque()
            try:
                with closing(self._backend.stream(self._feed(first, under_way))) as stream:
                    began = time.monotonic()
                    for images in stream:
                        pieces, made = under_way.popleft(), time.monotonic()
                        self._ahead.acquire()
                        self._encoders.submit(self._encode, pieces, images.copy(), began, made)
                        began = made
            except Exception as error:
                for pieces in under_way:
                    self._failed(pieces, error)
        self._encoders.shutdown()

    def _feed(self, first: Pieces, under_way: deque[Pieces]) -> Iterator[Batch]:
        pieces: Pieces | None = first
        while pieces is not None:
            under_way.append(pieces)
            yield self._inputs(pieces)
            pieces = self._batcher.take(wait=False)

    def _encode(self, pieces: Pieces, images: np.ndarray, began: float, made: float) -> None:
        try:
            self._finish(pieces, images, began, made)
        except Exception as error:
            self._failed(pieces, error)
        finally:
            self._ahead.release()

    def _inputs(self, pieces: Pieces) -> Batch:
        backend = self._backend
        wanted = [(job.wanted, start, end) for job, start, end in pieces]
        return inputs(wanted, backend.metadata.latent.dim, backend.steady_batch)

    def _finish(self, pieces: Pieces, images: np.ndarray, began: float, made: float) -> None:
        """Cuts a batch into the requests' own images and encodes those that are whole."""
        answers: list[tuple[Job, Any]] = []
        images = _as_pixels(pieces, images)
        at = 0
        for job, start, end in pieces:
            part = images[at : at + end - start]
            at += end - start
            if job.future.done():  # gone, or late
                continue
            whole = part if len(part) == job.wanted.count else self._joined(job, start, part)
            if whole is not None:
                answers.append((job, self._answer(job, whole)))
        self._batcher.deliver(answers, at)
        waited = [began - job.began for job, start, _ in pieces if start == 0]
        self._metrics.batch(at, waited, made - began, time.monotonic() - made)

    def _joined(self, job: Job, start: int, part: np.ndarray) -> np.ndarray | None:
        """The images of a job that several batches held, for the worker that brings the last of them."""
        with self._joining:
            job.parts.append((start, part.copy()))
            if sum(len(each) for _, each in job.parts) < job.wanted.count:
                return None
        return np.concatenate([each for _, each in sorted(job.parts, key=lambda pair: pair[0])])

    def _answer(self, job: Job, images: np.ndarray) -> Any:
        try:
            return job.finish(images)
        except Refusal as refusal:
            return refusal
        except MemoryError:
            return Refusal.no_memory()
        except Exception as error:
            return self._told(error)

    def _failed(self, pieces: Pieces, error: Exception) -> None:
        """A batch could not be made: its requests are told, and nothing else is."""
        answer = Refusal.no_memory() if isinstance(error, BackendOutOfMemory | MemoryError) else self._told(error)
        self._metrics.refused(answer.code)
        self._batcher.deliver([(job, answer) for job, *_ in pieces], 0)

    def _told(self, error: Exception) -> Refusal:
        """The refusal for clients; the log has the error itself."""
        self._failures += 1
        text = "".join(traceback.format_exception(error)) if self._failures == 1 else str(error)
        say(f"the generator failed: {text.rstrip()}")
        return Refusal.failed()


def _as_pixels(pieces: Pieces, images: np.ndarray) -> np.ndarray:
    """A batch as 8 bits where it is of whole requests that take them so; else the batch as it is.

    At once that takes half the time of one by one, and the interpreter's lock fewer times.
    """
    if images.dtype == np.uint8:
        return images
    if not all(job.wanted.pixels and end - start == job.wanted.count for job, start, end in pieces):
        return images
    try:
        return to_uint8(images)
    except BackendError:  # the request whose image is at fault finds it by itself, and no other pays
        return images


def be_fair() -> None:
    """Lets the loop's thread in ten times as often as usual: it holds the lock for microseconds, workers for longer."""
    sys.setswitchinterval(0.0005)
