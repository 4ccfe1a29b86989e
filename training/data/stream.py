"""Endless batches of real images, in an order that depends on the seed and the position alone."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wgan.serve.base.errors import CheckpointError
from wgan.training.data import ImageSet
from wgan.training.distributed import World

UPLOAD = 2**26  # bytes at a time


def permutation(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    """The order of one epoch, int64 (count,).

    A sort of raw Philox words: numpy promises that these never change, unlike its shuffles.
    """
    words = np.random.Philox(key=np.array([seed, epoch], np.uint64)).random_raw(count)
    return np.argsort(words, kind="stable")


class BatchStream:
    """Full batches without end: a batch that reaches the end of an epoch goes on in the next.

    Its whole state is ``cursor``, the number of samples served. On CUDA the images lie on the device if
    they take less than half of its free memory; else each batch is copied from pinned memory. Of many
    processes each gets its share of every batch.
    """

    def __init__(self, images: ImageSet, batch_size: int, seed: int, device: torch.device, world: World | None = None):
        if len(images) == 0:
            raise ValueError("no images to make batches of")
        self.cursor = 0
        self._batch_size, self._seed, self._device = batch_size, seed, device
        self._world = world or World()
        self._images = images.images
        self._resident = _upload(images.images, device) if _fits(images.images, device) else None
        self._labels = None if images.labels is None else torch.from_numpy(images.labels.copy()).to(device)
        self._epoch, self._order = -1, np.empty(0, np.int64)

    def next(self) -> tuple[Tensor, Tensor | None]:
        """uint8 (N, H, W, C) and int64 (N,) or None, on the device."""
        picked = self._world.share(self._advance())
        where = torch.from_numpy(picked)
        if self._device.type == "cuda":
            where = where.pin_memory().to(self._device, non_blocking=True)
        labels = None if self._labels is None else self._labels[where]
        if self._resident is not None:
            return self._resident[where], labels
        batch = torch.from_numpy(self._images[picked])
        if self._device.type == "cuda":
            batch = batch.pin_memory()
        return batch.to(self._device, non_blocking=True), labels

    def state(self) -> dict[str, int]:
        """What `restore` needs to go on with the very next sample."""
        return {"cursor": self.cursor, "seed": self._seed, "count": len(self._images)}

    def restore(self, state: dict[str, int]) -> None:
        """Goes on from a saved state.

        Raises:
            CheckpointError: the state is of other images or of another seed.
        """
        for name, here in (("count", len(self._images)), ("seed", self._seed)):
            if state[name] != here:
                raise CheckpointError(
                    f"the checkpoint's data has {name} {state[name]}, this run's {here}: start a new run"
                )
        self.cursor = state["cursor"]

    def _advance(self) -> NDArray[np.int64]:
        """The next batch's indices, int64 (N,)."""
        count, parts, missing = len(self._images), [], self._batch_size
        while missing:
            epoch, position = divmod(self.cursor, count)
            if epoch != self._epoch:
                self._epoch, self._order = epoch, permutation(self._seed, epoch, count)
            part = self._order[position : position + missing]
            parts.append(part)
            self.cursor += len(part)
            missing -= len(part)
        return np.concatenate(parts)


def _fits(images: NDArray[np.uint8], device: torch.device) -> bool:
    if device.type != "cuda":
        return False  # the memory map is as near
    free, _ = torch.cuda.mem_get_info(device)
    return images.nbytes < free / 2


def _upload(images: NDArray[np.uint8], device: torch.device) -> Tensor:
    resident = torch.empty(images.shape, dtype=torch.uint8, device=device)
    step = max(1, UPLOAD // images[0].nbytes)
    for start in range(0, len(images), step):
        part = np.array(images[start : start + step])  # a copy: torch does not take read-only arrays
        resident[start : start + step].copy_(torch.from_numpy(part))
    return resident
