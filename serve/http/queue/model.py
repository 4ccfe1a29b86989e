"""A generator that is being served: an open artifact, its queue and its workers."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from wgan.serve.backends.base import Backend
from wgan.serve.http.limits.settings import Settings
from wgan.serve.http.queue.batcher import Batcher
from wgan.serve.http.queue.metrics import Metrics
from wgan.serve.http.queue.versions import versions
from wgan.serve.http.queue.wanted import Wanted, inputs
from wgan.serve.http.queue.workers import Workers
from wgan.serve.sampling.sampler import batch_size_for

QUIET = 2.0  # seconds without a request after which a generator that was replaced is closed


class Model:
    """One open artifact. Made on the loop's thread, after `warm_up`."""

    def __init__(self, backend: Backend, settings: Settings, metrics: Metrics):
        self.backend = backend
        self.name = backend.path.stem.replace(".", "_")
        self.opened_at = time.time()
        most = batch_size_for(backend, settings.batch_size)
        self.batcher = Batcher(settings.queue, most, settings.max_waiting, metrics)
        self._workers = Workers(backend, self.batcher, metrics, settings.workers)
        self._users = 0

    @property
    def text(self) -> dict[str, str]:
        """What an image's file says of its origin, except its number and how its latent was made."""
        backend = self.backend
        where = f"{backend.name} on {backend.device}"
        return {"model": backend.digest, "backend": where, "precision": backend.metadata.precision}

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """While it is open the model is not closed."""
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1

    async def close(self) -> None:
        """Ends the workers when all that was queued is made, and frees the runtime."""
        self.batcher.close()
        while self._workers.alive:  # not joined on another thread: the loop would wait for that one at its end
            await asyncio.sleep(0.01)
        self.backend.close()

    async def retire(self) -> None:
        """Closes it when nobody uses it any more: requests that hold it may still be reading."""
        quiet = 0.0
        while quiet < QUIET:
            await asyncio.sleep(0.1)
            quiet = quiet + 0.1 if not self._users and self.batcher.idle else 0.0
        await self.close()


def warm_up(backend: Backend, batch_size: int | None) -> None:
    """Runs the smallest and the largest batch, so that the first request finds everything made."""
    for count in dict.fromkeys((1, batch_size_for(backend, batch_size))):
        labels = None if backend.metadata.classes is None else np.zeros(count, np.int64)
        wanted = Wanted(count, np.arange(count), labels=labels)
        backend.run(*inputs([(wanted, 0, count)], backend.metadata.latent.dim, backend.steady_batch))
    versions(backend.name)  # are read from many files
