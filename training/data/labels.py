"""Labels for generated images when none was asked for: as many of each class as the data has."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_GOLDEN = 0.6180339887498949  # multiples of it, modulo 1, spread evenly however many there are


def shares_of(labels: NDArray[np.int64], classes: int) -> tuple[float, ...]:
    """The share of each class in the data, in class order."""
    return tuple((np.bincount(labels, minlength=classes) / len(labels)).tolist())


def labels_at(rows: NDArray[np.int64], shares: Sequence[float]) -> NDArray[np.int64]:
    """Labels int64 (N,) for rows (N,) of the latent table: of any stretch of rows, ``shares`` of each class."""
    edges = np.cumsum(shares)
    labels = np.searchsorted(edges / edges[-1], rows * _GOLDEN % 1, side="right")
    return np.minimum(labels, len(shares) - 1).astype(np.int64)
