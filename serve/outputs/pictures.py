"""Outputs that are PNG files: a folder of them, a WebDataset tar of them, or one page."""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from wgan.serve.base.address import Place
from wgan.serve.base.errors import OutputError
from wgan.serve.base.files import Replacement, sync_folder, write_unsynced
from wgan.serve.base.pipeline import Pipeline
from wgan.serve.outputs.base import Labels, Output
from wgan.serve.outputs.encoded import page_of, png_of, stem, tar_end, tar_members
from wgan.serve.outputs.folder import FILE, claim, keep, page_beside, release
from wgan.serve.outputs.pixels import Pixels
from wgan.serve.stores import opened

PAGE = 64  # images on the page beside a folder
LARGEST_GRID = 4096  # images on a grid of their own
Facts = Mapping[str, Any]
_JOB = 16  # images encoded by a thread at a time


class FolderOutput(Output):
    """``seed-000000.png`` …, and beside the folder the first 64 of them on a page: ``samples-grid.png``.

    Each file appears under its name when whole. It is not synced on its own: that would cost more than the
    encoding, and a seed can be drawn again. Files of other seeds are left alone. The folder is claimed for images of
    these ``facts``, as `folder.claim` has them, before any is made.
    """

    def __init__(self, path: Path, count: int, first: int, text: Mapping[str, str], unit: str, facts: Facts):
        super().__init__(path, count, first)
        self._text = text
        self._unit = unit
        self._facts = {"unit": unit, **facts}
        self._page: Replacement | None = None
        self._claimed = claim(path, self._facts)
        self._root = path
        self.manifest = path / FILE
        self.grid, self.no_grid = page_beside(path)
        if self.grid is not None:
            try:
                self._page = Replacement(self.grid)
            except OutputError as error:
                self.grid, self.no_grid = None, f"no grid was written: {error}"
        self._folder = os.path.join(path, "")  # noqa: PTH118
        self._kept: list[Pixels] = []
        self._pipeline: Pipeline[None] = Pipeline()

    def _add(self, first: int, images: Pixels, labels: Labels | None) -> None:
        if first - self.first < PAGE:
            self._kept.append(images[: PAGE - (first - self.first)].copy())
        for seeds, part, names in _jobs(first, images, labels):
            for _ in self._pipeline.put(partial(self._save, seeds, part, names)):
                pass

    def _save(self, seeds: range, images: Pixels, labels: list[int | None]) -> None:
        for seed, image, label in zip(seeds, images, labels, strict=True):
            name = f"{self._folder}{stem(self._unit, seed)}.png"
            write_unsynced(name, png_of(image, self._unit, seed, label, self._text))

    def _finish(self) -> None:
        for _ in self._pipeline.finish():
            pass
        if self._page is not None:
            page = np.concatenate(self._kept)
            numbers = range(self.first, self.first + len(page))
            self._page.tmp.write_bytes(page_of(page, self._unit, numbers, self._text))
            self._page.commit()
        keep(self._root, self._facts)
        sync_folder(self._root)

    def _discard(self) -> None:
        self._pipeline.stop()
        if self._page is not None:
            self._page.discard()
        if self._claimed:
            release(self._root)


class GridOutput(Output):
    """One PNG with every image on it; of frames, a strip."""

    def __init__(self, path: Place, count: int, first: int, text: Mapping[str, str], unit: str = "seed"):
        super().__init__(path, count, first)
        if count > LARGEST_GRID:
            raise OutputError(
                f"cannot write {path}: a page holds at most {LARGEST_GRID} images, not {count}; name a folder"
            )
        self._text = text
        self._unit = unit
        self._place = opened(path)
        self._kept: list[Pixels] = []

    def _add(self, first: int, images: Pixels, labels: Labels | None) -> None:
        self._kept.append(images.copy())

    def _finish(self) -> None:
        numbers = range(self.first, self.first + self.count)
        with self._place.open() as file:
            file.write(page_of(np.concatenate(self._kept), self._unit, numbers, self._text))
        self._place.commit()

    def _discard(self) -> None:
        self._place.discard()


class TarOutput(Output):
    """A WebDataset: the members of `encoded.tar_members` for each image, in order.

    The same images give the same bytes: no times, owners or machine names are recorded.
    """

    def __init__(self, path: Place, count: int, first: int, text: Mapping[str, str], unit: str = "seed"):
        super().__init__(path, count, first)
        self._text = text
        self._unit = unit
        self._place = opened(path)
        self._file = self._place.open()
        self._length = 0
        self._pipeline: Pipeline[bytes] = Pipeline()

    def _add(self, first: int, images: Pixels, labels: Labels | None) -> None:
        for seeds, part, names in _jobs(first, images, labels):
            for members in self._pipeline.put(partial(self._members, seeds, part, names)):
                self._write(members)

    def _write(self, members: bytes) -> None:
        self._file.write(members)
        self._length += len(members)

    def _members(self, seeds: range, images: Pixels, labels: list[int | None]) -> bytes:
        return tar_members(images, self._unit, seeds, labels, self._text)

    def _finish(self) -> None:
        for members in self._pipeline.finish():
            self._write(members)
        self._file.write(tar_end(self._length))
        self._file.close()
        self._place.commit()

    def _discard(self) -> None:
        self._pipeline.stop()
        with suppress(OSError):
            self._file.close()
        self._place.discard()


def _jobs(first: int, images: Pixels, labels: Labels | None) -> Iterator[tuple[range, Pixels, list[int | None]]]:
    for start in range(0, len(images), _JOB):
        part = images[start : start + _JOB].copy()  # the caller may reuse the array
        seeds = range(first + start, first + start + len(part))
        numbers = [None] * len(part) if labels is None else labels[start : start + _JOB].tolist()
        yield seeds, part, numbers
