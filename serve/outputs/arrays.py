"""Outputs that are numpy files, streamed to disk in constant memory."""

import zipfile
from contextlib import suppress
from typing import IO

import numpy as np
from numpy.typing import NDArray

from wgan.serve.base.address import Place
from wgan.serve.outputs.base import Labels, Output
from wgan.serve.outputs.encoded import npy_header
from wgan.serve.outputs.pixels import Pixels
from wgan.serve.stores import opened


class NpyOutput(Output):
    """One array, uint8 (N, H, W, C)."""

    def __init__(self, path: Place, count: int, first: int):
        super().__init__(path, count, first)
        self._place = opened(path)
        self._file = self._place.open()

    def _add(self, first: int, images: Pixels, labels: Labels | None) -> None:
        if first == self.first:
            self._file.write(npy_header(np.uint8, (self.count, *images.shape[1:])))
        self._file.write(np.ascontiguousarray(images).data)

    def _finish(self) -> None:
        self._file.close()
        self._place.commit()

    def _discard(self) -> None:
        with suppress(OSError):
            self._file.close()
        self._place.discard()


class NpzOutput(Output):
    """``images`` uint8 (N, H, W, C), ``seeds`` int64 (N,) and ``labels`` int64 (N,) where they are given.

    What is not numbered by seeds has ``rows`` or ``frames`` instead of them.
    """

    def __init__(self, path: Place, count: int, first: int, unit: str = "seed"):
        super().__init__(path, count, first)
        self._unit = unit
        self._place = opened(path)
        self._file = self._place.open()
        self._zip = zipfile.ZipFile(self._file, "w")
        self._images: IO[bytes] | None = None
        self._labels: list[Labels] = []

    def _add(self, first: int, images: Pixels, labels: Labels | None) -> None:
        if self._images is None:
            self._images = self._member("images")
            self._images.write(npy_header(np.uint8, (self.count, *images.shape[1:])))
        self._images.write(np.ascontiguousarray(images).data)
        if labels is not None:
            self._labels.append(np.array(labels, np.int64))

    def _finish(self) -> None:
        if self._images is not None:
            self._images.close()
        self._save(f"{self._unit}s", np.arange(self.first, self.first + self.count, dtype=np.int64))
        if self._labels:
            self._save("labels", np.concatenate(self._labels))
        self._zip.close()
        self._file.close()
        self._place.commit()

    def _discard(self) -> None:
        for part in (self._file, self._images, self._zip):  # the file first: what is not whole gets no end
            if part is not None:
                with suppress(OSError, ValueError):
                    part.close()
        self._place.discard()

    def _save(self, name: str, array: NDArray[np.int64]) -> None:
        with self._member(name) as file:
            file.write(npy_header(np.int64, array.shape))
            file.write(array.data)

    def _member(self, name: str) -> IO[bytes]:
        return self._zip.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True)
