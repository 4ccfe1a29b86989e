"""Seeds to batches to 8-bit images, in order, whatever the backend."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

import numpy as np

from wgan.serve.backends.base import Backend, Batch
from wgan.serve.backends.memory import runtime_failure
from wgan.serve.base.errors import BackendOutOfMemory, ConfigError
from wgan.serve.latents.table import Rows, latents
from wgan.serve.outputs.pixels import as_pixels

BATCH = 64
SHOWN, LONGEST = 20, 60  # classes in a message, and characters of each


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


def labels_for(backend: Backend, first: int, count: int, label: int | None) -> np.ndarray | None:
    """Labels int64 (count,) of seeds first … first+count-1: all ``label``, or seed s is of class s mod K."""
    classes = backend.metadata.classes
    if classes is None:
        return None
    if label is not None:
        return np.full(count, label, np.int64)
    # seeds go up to 2^63, which int64 sums do not
    start = first % len(classes)
    return np.arange(start, start + count, dtype=np.int64) % len(classes)


def class_number(backend: Backend, name: str | None) -> int | None:
    """The class that `--label` names.

    Raises:
        ConfigError: there are no classes, or none of that name.
    """
    if name is None:
        return None
    classes = backend.metadata.classes
    if classes is None:
        raise ConfigError(
            f"--label {name}: {backend.path} was trained without labels (conditional=true trains with them)"
        )
    if name not in classes:
        raise ConfigError(f"--label {name} is not one of {some_of(classes)}")
    return classes.index(name)


def some_of(names: Sequence[str]) -> str:
    """The names in a line that can be read, however many and however long they are."""
    shown = ", ".join(name if len(name) <= LONGEST else f"{name[:LONGEST]}…" for name in names[:SHOWN])
    return f"{shown}, ... and {len(names) - SHOWN:,} more" if len(names) > SHOWN else shown


def sample(
    backend: Backend,
    first: int,
    count: int,
    batch_size: int,
    label: int | np.ndarray | None = None,
    rows: Rows | None = None,
    *,
    shrink: Callable[[str], object] | None = None,
    resized: Callable[[int], object] | None = None,
) -> Iterator[tuple[int, np.ndarray, np.ndarray | None]]:
    """The images of seeds ``first`` … ``first+count-1``.

    ``label``: one for all, int64 (count,) for each, or None for the classes in turn. ``rows``: their latents,
    where they are not the table's. ``shrink``: the batch may be halved where memory runs out, and this takes the
    line that says so; without it that is an error. ``resized`` takes the new size, for whoever samples again.

    Yields:
        (first seed of the batch, uint8 (N, H, W, C), their labels int64 (N,) if there are classes), in order.

    A batch smaller than the runtime's `steady_batch` is filled up and cut again, so that an image's bits
    do not depend on how many were made beside it.
    """

    end, size = first + count, batch_size

    def draw(start: int) -> Batch:
        wanted = min(size, end - start)
        z = latents(start, wanted, backend.metadata.latent.dim) if rows is None else rows(start, wanted)
        missing = ((0, max(0, backend.steady_batch - wanted)),)
        filled = None if (here := of(start, wanted)) is None else np.pad(here, missing)
        return np.pad(z, (*missing, (0, 0))), filled

    def of(start: int, wanted: int) -> np.ndarray | None:
        if isinstance(label, np.ndarray):
            return label[start - first :][:wanted]
        return labels_for(backend, start, wanted, label)

    done = first
    while done < end:
        starts = range(done, end, size)
        try:
            # the backend may compute the next batch while this one's pixels are made and written
            with closing(backend.stream(map(draw, starts))) as stream:
                for start, images in zip(starts, stream, strict=True):
                    wanted = min(size, end - start)
                    pixels = as_pixels(images[:wanted])
                    done = start + wanted
                    yield start, pixels, of(start, wanted)
        except (BackendOutOfMemory, MemoryError) as error:
            failed = min(size, end - done)
            size = max(failed // 2, backend.steady_batch)  # smaller ones are filled up to that
            if shrink is None or size >= failed:
                raise runtime_failure(backend.name, error, failed) from None
            if resized is not None:
                resized(size)
            shrink(f"{backend.name} on {backend.device} ran out of memory for {failed} images at a time: now {size}")
