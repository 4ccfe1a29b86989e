"""Seeds to batches to 8-bit images, in order, whatever the backend."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from wgan.serve.backends.base import Backend, Batch
from wgan.serve.backends.memory import runtime_failure
from wgan.serve.base.command import RUNNERS, or_again
from wgan.serve.base.errors import BackendOutOfMemory, ConfigError
from wgan.serve.base.terminal import counted
from wgan.serve.latents.table import Rows, latents
from wgan.serve.outputs.pixels import as_pixels

BATCH = 64
MOST = 2**20  # images at a time
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
    if asked > MOST:
        raise ConfigError(f"--batch-size {asked} is outside its range, 1 to {MOST:,}")
    if most is not None and asked > most:
        instead = or_again("--batch-size", most, of=RUNNERS)
        raise ConfigError(f"--batch-size {asked}: {backend.path} takes at most {most}: use {instead}")
    return asked


def labels_for(backend: Backend, first: int, count: int, label: int | None) -> np.ndarray | None:
    """Labels int64 (count,) of seeds first … first+count-1: all ``label``, or for seed s the class s mod K."""
    classes = backend.metadata.classes
    if classes is None:
        return None
    if label is not None:
        return np.full(count, label, np.int64)
    # seeds go up to 2^63, which int64 sums do not
    start = first % len(classes)
    return np.arange(start, start + count, dtype=np.int64) % len(classes)


def labels_of(backend: Backend, seeds: np.ndarray, label: int | None) -> np.ndarray | None:
    """`labels_for` seeds int64 (N,) that need not follow one another."""
    classes = backend.metadata.classes
    if classes is None:
        return None
    return seeds % len(classes) if label is None else np.full(len(seeds), label, np.int64)


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
    """The names in one readable line: the first ones, shortened."""
    shown = ", ".join(name if len(name) <= LONGEST else f"{name[:LONGEST]}…" for name in names[:SHOWN])
    return f"{shown}, ... and {len(names) - SHOWN:,} more" if len(names) > SHOWN else shown


@dataclass
class Sampling:
    """The images of seeds ``first`` … ``first + count - 1``, ``batch_size`` at a time.

    A batch smaller than the runtime's `steady_batch` is filled up and cut again, so that an image's bits do not depend
    on how many were made beside it.

    Args:
        backend: what makes them.
        first: the first seed.
        count: how many.
        batch_size: halved where memory runs out, if ``shrink`` is given, and then left so.
        label: one for all, int64 (count,) for each, or None for the classes in turn.
        rows: their latents, where they are not the table's.
        shrink: takes the line that says that the batch was halved; without it running out of memory is an error.
    """

    backend: Backend
    first: int
    count: int
    batch_size: int
    label: int | np.ndarray | None = None
    rows: Rows | None = None
    shrink: Callable[[str], object] | None = None

    def batches(self) -> Iterator[tuple[int, np.ndarray, np.ndarray | None]]:
        """In order: (first seed of the batch, uint8 (N, H, W, C), their labels int64 (N,) if there are classes).

        Raises BackendError, BackendOutOfMemory among them.
        """
        done, end = self.first, self.first + self.count
        while done < end:
            starts = range(done, end, self.batch_size)
            try:
                # the backend may compute the next batch while this one's pixels are made and written
                with closing(self.backend.stream(map(self._draw, starts))) as stream:
                    for start, images in zip(starts, stream, strict=True):
                        wanted = self._wanted(start)
                        pixels = as_pixels(images[:wanted])
                        done = start + wanted
                        yield start, pixels, self._labels(start, wanted)
            except (BackendOutOfMemory, MemoryError) as error:
                self._halve(min(self.batch_size, end - done), error)

    def _draw(self, start: int) -> Batch:
        """The inputs of the batch that starts at this seed, filled up."""
        backend, wanted = self.backend, self._wanted(start)
        z = latents(start, wanted, backend.metadata.latent.dim) if self.rows is None else self.rows(start, wanted)
        missing = ((0, max(0, backend.steady_batch - wanted)),)
        labels = self._labels(start, wanted)
        return np.pad(z, (*missing, (0, 0))), None if labels is None else np.pad(labels, missing)

    def _wanted(self, start: int) -> int:
        return min(self.batch_size, self.first + self.count - start)

    def _labels(self, start: int, wanted: int) -> np.ndarray | None:
        if isinstance(self.label, np.ndarray):
            return self.label[start - self.first :][:wanted]
        return labels_for(self.backend, start, wanted, self.label)

    def _halve(self, failed: int, error: Exception) -> None:
        """Halves the batch after ``failed`` images at a time did not fit; raises where it may or can not be smaller."""
        size = max(failed // 2, self.backend.steady_batch)  # smaller ones are filled up to that
        if self.shrink is None or size >= failed:
            raise runtime_failure(self.backend.name, error, failed) from None
        self.batch_size = size
        where = f"{self.backend.name} on {self.backend.device}"
        self.shrink(f"{where} ran out of memory for {counted(failed, 'image')} at a time: now {size:,}")


def sample(
    backend: Backend,
    first: int,
    count: int,
    batch_size: int,
    label: int | np.ndarray | None = None,
    *,
    shrink: Callable[[str], object] | None = None,
) -> Iterator[tuple[int, np.ndarray, np.ndarray | None]]:
    """The batches of `Sampling` with the table's latents."""
    return Sampling(backend, first, count, batch_size, label, shrink=shrink).batches()
