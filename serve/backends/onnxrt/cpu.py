"""ONNX Runtime on the CPU: a large batch in parts side by side, a small one with all cores on each operator.

Threads that share an operator wait for each other at its end, a hundred times a batch. Parts of a batch do not:
1.1 to 1.3 times as many images a second on two cores. An image's bits are the same either way.
"""

from collections.abc import Callable
from functools import cached_property, partial
from itertools import pairwise
from typing import Any

import numpy as np

from wgan.serve.base.pipeline import Pipeline

FEWEST, FEWEST_A_THREAD = 32, 4  # images of a batch that is worth cutting up


class CpuSession:
    """Sessions of one model for batches of any size.

    Args:
        make: an inference session with this many threads an operator.
        threads: how many to use in all.
    """

    def __init__(self, make: Callable[[int], Any], threads: int):
        self._make, self._threads = make, threads
        self.narrow = make(1)
        self._pipeline: Pipeline[np.ndarray] = Pipeline(max(1, threads - 1))  # the caller's thread is one more

    @cached_property
    def wide(self) -> Any:
        """All threads on each operator; made when the first small batch comes."""
        return self.narrow if self._threads == 1 else self._make(self._threads)

    def run(self, inputs: dict[str, np.ndarray]) -> np.ndarray:
        """The images (N, …) of inputs (N, …) by name."""
        count, parts = len(inputs["z"]), self._threads
        if parts == 1 or count < max(FEWEST, FEWEST_A_THREAD * parts):
            whole: np.ndarray = self.wide.run(["image"], inputs)[0]
            return whole

        def part(start: int, end: int) -> np.ndarray:
            images: np.ndarray = self.narrow.run(["image"], {name: rows[start:end] for name, rows in inputs.items()})[0]
            return images

        bounds = [count * i // parts for i in range(parts + 1)]
        return np.concatenate(self._pipeline.together([partial(part, *pair) for pair in pairwise(bounds)]))

    def close(self) -> None:
        """Ends the threads and frees the sessions."""
        self._pipeline.stop()
        del self.narrow
        self.__dict__.pop("wide", None)
