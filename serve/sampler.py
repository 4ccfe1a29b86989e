"""Seeds to batches to 8-bit images, in order, whatever the backend."""

from collections.abc import Iterator
from contextlib import closing

import numpy as np

from wgan.serve.backend import Backend
from wgan.serve.errors import ConfigError
from wgan.serve.images import to_uint8
from wgan.serve.latents import latents

BATCH = 64


def batch_size_for(backend: Backend, asked: int | None) -> int:
    """The batch to run: as asked, or 64, or what the artifact's maximum allows.

    Raises:
        ConfigError: more was asked for than the artifact takes.
    """
    most = backend.metadata.max_batch
    if asked is None:
        return min(BATCH, most or BATCH)
    if asked < 1:
        raise ConfigError(f"--batch-size {asked} is not at least 1")
    if most is not None and asked > most:
        raise ConfigError(f"--batch-size {asked}: {backend.path} takes at most {most}")
    return asked


def sample(backend: Backend, first: int, count: int, batch_size: int) -> Iterator[tuple[int, np.ndarray]]:
    """The images of seeds ``first`` … ``first+count-1``.

    Yields:
        (first seed of the batch, uint8 (N, H, W, C)), in order.

    A batch smaller than the runtime's `steady_batch` is filled up and cut again, so that an image's bits
    do not depend on how many were made beside it.
    """

    def draw(start: int) -> tuple[np.ndarray, ...]:
        wanted = min(batch_size, first + count - start)
        z = latents(start, wanted, backend.metadata.latent.dim)
        return (np.pad(z, ((0, max(0, backend.steady_batch - wanted)), (0, 0))),)

    starts = range(first, first + count, batch_size)
    # the backend may compute the next batch while this one's pixels are made and written
    with closing(backend.stream(map(draw, starts))) as stream:
        for start, images in zip(starts, stream, strict=True):
            yield start, to_uint8(images[: min(batch_size, first + count - start)])
