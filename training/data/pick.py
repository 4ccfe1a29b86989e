"""A random choice among many images, the same for the same seed."""

import numpy as np


def pick(total: int, count: int, seed: int) -> np.ndarray:
    """Indices int64 (n,), n at most ``count``, drawn from ``range(total)`` without replacement, in rising order."""
    if total <= count:
        return np.arange(total)
    return np.sort(np.random.default_rng(seed).choice(total, count, replace=False))
