"""Which of many images are looked at: drawn by a seed, so that it is the same ones each time."""

import numpy as np


def pick(total: int, count: int, seed: int) -> np.ndarray:
    """The places (at most ``count``) of images drawn from ``total`` without replacement, in their order."""
    if total <= count:
        return np.arange(total)
    return np.sort(np.random.default_rng(seed).choice(total, count, replace=False))
