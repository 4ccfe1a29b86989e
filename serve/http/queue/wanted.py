"""What one request wants of the generator, ready to be put into a batch with others."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wgan.serve.latents.table import Float, latents_of
from wgan.serve.latents.truncation import Truncation

Labels = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Wanted:
    """``count`` images: of seeds, rows of the latent table, or of latents that are given.

    Args:
        count: N, at least 1.
        seeds: int64 (N,), or None where ``z`` is given.
        z: float32 (N, Z), taken as it is.
        labels: int64 (N,), or None where the generator has no classes.
        truncation: of the table's rows.
        pixels: whether its `finish` takes the images as 8 bits, uint8 (N, H, W, C), too: where all of a batch does,
            they are made so at once.
    """

    count: int
    seeds: NDArray[np.int64] | None = None
    z: Float | None = None
    labels: Labels | None = None
    truncation: Truncation | None = None
    pixels: bool = False


Piece = tuple[Wanted, int, int]  # the images from the second number up to the third


def inputs(pieces: Sequence[Piece], dim: int, steady: int) -> tuple[Float, Labels | None]:
    """The latents (M, Z) and labels (M,) of one batch, M at least ``steady``, from which on bits do not depend on it.

    The table's rows are drawn at once, whatever requests they are for.
    """
    count = sum(end - start for _, start, end in pieces)
    seeded = [wanted.seeds[start:end] for wanted, start, end in pieces if wanted.seeds is not None]
    drawn = latents_of(np.concatenate(seeded), dim) if seeded else None
    if drawn is not None and len(drawn) == count >= steady and all(wanted.truncation is None for wanted, *_ in pieces):
        z = drawn
    else:
        z = np.zeros((max(count, steady), dim), np.float32)
        at = taken = 0
        for wanted, start, end in pieces:
            rows = slice(at, at + end - start)
            if wanted.z is not None:
                z[rows] = wanted.z[start:end]
            else:
                assert drawn is not None
                own = drawn[taken : taken + end - start]
                z[rows] = own if wanted.truncation is None else wanted.truncation(own)
                taken += end - start
            at = rows.stop
    if pieces[0][0].labels is None:
        return z, None
    labels = np.zeros(len(z), np.int64)
    np.concatenate(
        [wanted.labels[start:end] for wanted, start, end in pieces if wanted.labels is not None], out=labels[:count]
    )
    return z, labels
