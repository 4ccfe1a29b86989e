"""Torch on the CPU: a batch in pieces of one size, side by side on the cores.

Which kernels a library chooses depends on the size of a batch and on the number of threads, and with them an image's
last bits. In pieces of one size, each on one thread, neither is left to depend on. Threads that share an operator
would also spin while they wait for each other, which beside other busy programs takes ten times as long.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from wgan.serve.backends.pytorch.device import threads
from wgan.serve.base.pipeline import Pipeline
from wgan.serve.machine.cores import physical_cores

PIECE = 16  # images: larger ones are no quicker each

Generate = Callable[[np.ndarray, np.ndarray | None], np.ndarray]


def in_pieces(generate: Generate, z: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
    """Runs a generator once, in the pieces of `Pieces`."""
    pieces = Pieces(generate)
    try:
        return pieces.run(z, labels)
    finally:
        pieces.close()


class Pieces:
    """A generator that is called with `PIECE` rows at a time.

    Args:
        generate: images of latents (N, Z) and labels (N,) or None, by torch; called on several threads.
    """

    def __init__(self, generate: Generate):
        import torch

        self._generate, self._torch = generate, torch
        self._lanes = min(torch.get_num_threads(), physical_cores())
        self._pipeline: Pipeline[list[np.ndarray]] = Pipeline(max(1, self._lanes - 1))  # the caller's is one more

    def run(self, z: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        """Images of any number of rows."""
        count = len(z)
        short = -count % PIECE
        if short:  # the last piece is filled up
            z = np.concatenate([z, z[-1:].repeat(short, 0)])
            labels = None if labels is None else np.concatenate([labels, labels[-1:].repeat(short)])
        starts = range(0, len(z), PIECE)
        lanes = min(self._lanes, len(starts))
        with threads(1):
            by_lane = self._pipeline.together(
                [partial(self._lane, z, labels, starts[lane::lanes]) for lane in range(lanes)]
            )
        images = np.concatenate([by_lane[i % lanes][i // lanes] for i in range(len(starts))])
        return images[:count]

    def _lane(self, z: np.ndarray, labels: np.ndarray | None, starts: range) -> list[np.ndarray]:
        self._torch.set_num_threads(1)  # of this thread
        rows = [slice(start, start + PIECE) for start in starts]
        return [self._generate(z[here], None if labels is None else labels[here]) for here in rows]

    def close(self) -> None:
        """Ends the threads."""
        self._pipeline.stop()
