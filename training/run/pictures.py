"""The pictures of a run: grids of fixed seeds, real images beside them, ways between seeds, nearest real images.

samples/step-*.png             seeds 0 to 63, at every look
samples/real.png               as many real images, class for class
samples/interpolation-*.png    between seeds, of the best and of the last validation
samples/nearest-*.png          generated images over the training images nearest to them, of the same two
"""

import time
from collections.abc import Collection
from typing import Any

import numpy as np

from wgan.serve.base.files import atomic_write
from wgan.serve.latents.sources import between
from wgan.serve.latents.table import latents
from wgan.serve.outputs.pixels import BACKGROUND, encode_png, grid
from wgan.training.config import Config
from wgan.training.data import ImageSet
from wgan.training.data.pick import pick
from wgan.training.measures.nearest import NEIGHBOURS, Nearest
from wgan.training.measures.validation import GRID, generate
from wgan.training.networks import Generator
from wgan.training.records.folder import RunFolder

WAYS, STAGES = 4, 8  # between seeds 0 and 1, 2 and 3, …; images of each way
SUSPECTS = 8  # generated images that are shown over their nearest: those that are nearest of all
COLUMNS = 8  # of a grid without classes
MOST_COLUMNS = 16  # classes that get a column each
_KEPT = ("interpolation", "nearest")


class Pictures:
    """Writes them into the run's samples/. None draws from a random stream of the training.

    Args:
        run: where they go.
        config: the run's.
        data: the training images.
        classes: how many the generator knows; 0 without.
    """

    def __init__(self, run: RunFolder, config: Config, data: ImageSet, classes: int):
        self._folder, self._config, self._data, self._classes = run.samples, config, data, classes
        self._nearest: Nearest | None = None
        self._grid: tuple[int, np.ndarray] | None = None  # step and images

    def real(self) -> None:
        """As many real images as a sample grid has, those of class i mod K in cell i; white where a class has none."""
        images, labels = self._data.images, self._data.labels
        if not self._classes or labels is None:
            chosen = np.asarray(images[pick(len(images), GRID, self._config.seed)])
        else:
            chosen = np.full((GRID, *images.shape[1:]), BACKGROUND, np.uint8)
            for label in range(min(self._classes, GRID)):
                cells = range(label, GRID, self._classes)
                members = np.flatnonzero(labels == label)
                for cell, place in zip(cells, pick(len(members), len(cells), self._config.seed), strict=False):
                    chosen[cell] = images[members[place]]
        atomic_write(self._folder / "real.png", encode_png(self._page(chosen), {"shows": "real images", "step": "0"}))

    def grid(self, generator: Generator, step: int) -> np.ndarray:
        """Writes the grid of seeds 0 to 63, and returns it as uint8 (H, W, C)."""
        labels = np.arange(GRID) % self._classes if self._classes else None
        images = generate(generator, latents(0, GRID, self._config.latent_dim), labels, self._config.image_size)
        self._grid = step, images
        page = self._page(images)
        about = {"seeds": f"0..{GRID - 1}", "step": str(step)}
        atomic_write(self._folder / f"step-{step:08d}.png", encode_png(page, about))
        return page

    def of_validation(self, generator: Generator, step: int, best: int | None) -> dict[str, Any] | None:
        """The two that show what the generator has learnt; a record of how near it is to the data.

        Those of other steps than this one and the ``best`` are removed. None of an untrained generator.
        """
        if step == 0:
            return None
        began = time.monotonic()
        self._interpolation(generator, step)
        record = self._over_nearest(generator, step)
        self._remove_all_but({step, best})
        return {**record, "seconds": time.monotonic() - began}

    def _interpolation(self, generator: Generator, step: int) -> None:
        ways = [
            between(self._config.latent_dim, 2 * way, 2 * way + 1, STAGES, None).rows(0, STAGES) for way in range(WAYS)
        ]
        labels = np.repeat(np.arange(WAYS) % self._classes, STAGES) if self._classes else None
        images = generate(generator, np.concatenate(ways), labels, self._config.image_size)
        self._write(
            "interpolation", step, grid(images, STAGES), f"{WAYS} ways of {STAGES} images, from seed 2i to 2i+1"
        )

    def _over_nearest(self, generator: Generator, step: int) -> dict[str, Any]:
        if self._grid is None or self._grid[0] != step:
            self.grid(generator, step)
        assert self._grid is not None
        samples = self._grid[1]
        self._nearest = nearest = self._nearest or Nearest(self._data.images, self._config.seed)
        found = nearest(samples)
        order = np.argsort(found.distances[:, 0], kind="stable")[:SUSPECTS]
        rows = [samples[order]]
        rows += [
            np.asarray([self._data.images[place] for place in found.places[order, k]])
            for k in range(found.places.shape[1])
        ]
        page = grid(np.concatenate(rows), len(order))
        self._write("nearest", step, page, f"generated, and below each the {NEIGHBOURS} nearest training images")
        shown = {"seeds": order.tolist(), "distances": found.distances[order, 0].tolist()}
        return {**nearest.record(found), "shown": [list(pair) for pair in zip(*shown.values(), strict=True)]}

    def _write(self, name: str, step: int, page: np.ndarray, about: str) -> None:
        atomic_write(self._folder / f"{name}-{step:08d}.png", encode_png(page, {"shows": about, "step": str(step)}))

    def _remove_all_but(self, steps: Collection[int | None]) -> None:
        for name in _KEPT:
            kept = {f"{name}-{step:08d}.png" for step in steps if step is not None}
            for path in self._folder.glob(f"{name}-*.png"):
                if path.name not in kept:
                    path.unlink(missing_ok=True)

    def _page(self, images: np.ndarray) -> np.ndarray:
        return grid(images, columns(self._classes))


def columns(classes: int) -> int:
    """Of a grid whose cell i is of class i mod K: so many that each column is of one class, where K is small enough."""
    if not 2 <= classes <= MOST_COLUMNS:
        return COLUMNS
    return classes * max(1, round(COLUMNS / classes))


def class_sizes(data: ImageSet) -> list[int] | None:
    """How many images each class of the data has; None without classes."""
    if data.labels is None or data.classes is None:
        return None
    counted: list[int] = np.bincount(data.labels, minlength=len(data.classes)).tolist()
    return counted
