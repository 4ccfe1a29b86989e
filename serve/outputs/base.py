"""What every kind of output shares: images come in order, and the result is whole or absent."""

from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from wgan.serve.base.address import Place
from wgan.serve.base.files import writing
from wgan.serve.outputs.pixels import Pixels

Labels = NDArray[np.int64]


class Output(ABC):
    """Takes the images of seeds ``first`` … ``first + count - 1``; a context manager.

    Leaving the block by an exception, KeyboardInterrupt too, removes everything that is not whole.
    """

    grid: Path | None = None  # a page of the first images that lies beside the result
    no_grid: str | None = None  # why there is none, where there should be one
    manifest: Path | None = None  # says what the images are made of

    def __init__(self, path: Place, count: int, first: int):
        self.path = path
        self.first = first
        self.count = count
        self._next = first
        self._open = True

    def write(self, first: int, images: Pixels, labels: Labels | None = None) -> None:
        """Take uint8 (n, H, W, C), the images of seeds ``first`` …, and their class numbers (n,) if any.

        Batches come in the order of their seeds. The array may be reused afterwards. Raises OutputError,
        perhaps about an earlier batch, as encoding runs behind, and then leaves nothing.
        """
        if not self._open or first != self._next or first + len(images) > self.first + self.count:
            raise ValueError(f"seeds {first} … {first + len(images) - 1} are out of order or too many")
        self._next += len(images)
        try:
            with writing(self.path):
                self._add(first, images, labels)
        except BaseException:
            self._abandon()
            raise

    def close(self) -> None:
        """Write what is left and put the result in place. Raises OutputError, and then leaves nothing."""
        if not self._open:
            return
        try:
            if self._next != self.first + self.count:
                raise ValueError(f"closed after {self._next - self.first} of {self.count} images")
            with writing(self.path):
                self._finish()
        except BaseException:
            self._abandon()
            raise
        self._open = False

    def _abandon(self) -> None:
        if self._open:
            self._open = False
            self._discard()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._abandon()

    @abstractmethod
    def _add(self, first: int, images: Pixels, labels: Labels | None) -> None: ...

    @abstractmethod
    def _finish(self) -> None: ...

    @abstractmethod
    def _discard(self) -> None: ...
