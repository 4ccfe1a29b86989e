"""Does it copy the data? How far generated images are from the training image that is nearest to each.

The distance is plain: the root mean square difference of 8-bit values between two images that were shrunk to at most
32 × 32 pixels by averaging; transparent ones are premultiplied. It is 0 of a copy. What is near, the data says itself:
the same distance is taken of real images to the nearest other one, as near as an image that was not trained on comes.

Shapes: uint8 (N, H, W, C) pixels; F values of a shrunk image.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from wgan.training.data.pick import pick
from wgan.training.measures.transparency import premultiplied

SIDE = 32  # pixels that an image is shrunk to
MOST = 10_000  # training images that are compared with: 30 MB in colour
BASELINE = 128  # real images that are looked at in the same way
NEIGHBOURS = 3
_CHUNK = 1024  # images at a time

Images = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Found:
    """The nearest training images of each generated one, nearest first: places in the data and distances (N, K)."""

    places: npt.NDArray[np.int64]
    distances: Floats


class Nearest:
    """Looks for near images among those of a data set, at most `MOST` of them.

    Args:
        images: the data, uint8 (N, H, W, C), which may lie on a disk.
        seed: chooses among more than `MOST`.
    """

    def __init__(self, images: Images, seed: int = 0):
        self.places = pick(len(images), MOST, seed)
        parts = (self.places[start : start + _CHUNK] for start in range(0, len(self.places), _CHUNK))
        self._small = np.concatenate([shrunk(np.asarray(images[part])) for part in parts])
        self._squares = np.concatenate([_squares(self._small[i : i + _CHUNK]) for i in self._starts()])
        chosen = pick(len(self._small), BASELINE, seed)
        _, distances = self._search(self._small[chosen], 1, leave_out=chosen)
        known = distances[np.isfinite(distances)]  # none of a single image
        self.real = float(np.median(known)) if len(known) else None

    def __call__(self, generated: Images) -> Found:
        """Of each generated image (N, H, W, C)."""
        columns, distances = self._search(shrunk(generated), min(NEIGHBOURS, len(self._small)))
        return Found(self.places[columns], distances)

    def record(self, found: Found) -> dict[str, Any]:
        """For the history: medians over the images, and what was compared."""
        nearest = found.distances[:, 0]
        distance = float(np.median(nearest))
        return {
            "distance": distance,
            "closest": float(nearest.min()),
            "real_distance": self.real,
            "ratio": distance / self.real if self.real else None,
            "samples": len(nearest),
            "images": len(self._small),
        }

    def _starts(self) -> range:
        return range(0, len(self._small), _CHUNK)

    def _search(
        self, wanted: Images, count: int, leave_out: npt.NDArray[np.int64] | None = None
    ) -> tuple[npt.NDArray[np.int64], Floats]:
        """The ``count`` nearest of each of ``wanted`` (N, F), but not the one that is to be left out."""
        queries = wanted.astype(np.float32)
        squares = np.empty((len(queries), len(self._small)), np.float32)
        for start in self._starts():
            chunk = self._small[start : start + _CHUNK].astype(np.float32)
            squares[:, start : start + len(chunk)] = queries @ chunk.T
        squares = self._squares - 2 * squares  # but for what is the same of all: the query's own
        if leave_out is not None:
            squares[np.arange(len(queries)), leave_out] = np.inf
        columns = np.argpartition(squares, count - 1, axis=1)[:, :count].astype(np.int64)
        # anew from the differences: rounding would give a copy a distance
        distances = np.stack([_rms(wanted[i], self._small[of]) for i, of in enumerate(columns)])
        distances[np.isinf(np.take_along_axis(squares, columns, 1))] = np.inf
        order = np.argsort(distances, axis=1, kind="stable")
        return np.take_along_axis(columns, order, 1), np.take_along_axis(distances, order, 1)


def shrunk(images: Images) -> Images:
    """Means over squares of pixels, at most `SIDE` of them across, flat: uint8 (N, F)."""
    images = premultiplied(images)
    count, side, _, channels = images.shape
    times = max(1, side // SIDE)
    small = side // times
    if times > 1:
        blocks = images[:, : small * times, : small * times].reshape(count, small, times, small * times, channels)
        rows = blocks.sum(2, dtype=np.uint16).reshape(count, small, small, times, channels)
        images = (rows.sum(3, dtype=np.uint32) // times**2).astype(np.uint8)
    return np.ascontiguousarray(images).reshape(count, -1)


def _squares(values: Images) -> Floats:
    squares: Floats = np.einsum("nf,nf->n", values, values, dtype=np.float32, casting="unsafe")
    return squares


def _rms(one: Images, others: Images) -> Floats:
    differences = others.astype(np.float32) - one.astype(np.float32)
    distances: Floats = np.sqrt(np.square(differences).mean(1))
    return distances
