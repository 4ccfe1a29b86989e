"""What `wgan.load` returns: an open generator, and the images that it makes."""

import warnings
from collections.abc import Callable
from types import TracebackType
from typing import Self

import numpy as np

from wgan.serve.artifacts.find import typed
from wgan.serve.backends.base import Backend
from wgan.serve.base.errors import BackendError
from wgan.serve.base.terminal import counted
from wgan.serve.outputs.pixels import checkered, encode_png, grid
from wgan.serve.sampling.request import Request
from wgan.serve.sampling.sampler import Sampling, batch_size_for


class Images(np.ndarray):
    """A uint8 array (N, H, W, C) that a notebook shows as one picture; in all else an ordinary array.

    Straight RGBA (C = 4) is shown on a checkerboard.
    """

    def _repr_png_(self) -> bytes | None:
        if self.dtype != np.uint8 or self.ndim not in (3, 4) or self.shape[-1] not in (1, 3, 4) or not self.size:
            return None
        plain = self.view(np.ndarray)
        return encode_png(grid(plain) if self.ndim == 4 else checkered(plain))


class Generator:
    """An open generator, from `wgan.load`. A context manager; `close` frees what its runtime holds."""

    def __init__(self, backend: Backend):
        self._backend: Backend | None = backend

    def sample(
        self,
        n: int,
        *,
        seed: int = 0,
        label: str | None = None,
        truncation: float | None = None,
        batch_size: int | None = None,
    ) -> Images:
        """The images of the seeds ``seed`` … ``seed + n - 1``: those that `wgan sample` makes, bit for bit.

        Args:
            n: how many images, at least 1.
            seed: of the first image, 0 to 2^63 - n. An image depends on its seed alone, not on ``n`` or ``batch_size``.
            label: class of every image, one of `classes`; None: seed s is of class s mod their number.
            truncation: normals are cut off at ±this, for less variety; None: the latents as they are.
            batch_size: images at a time; None: 64, or fewer where memory runs out or the artifact takes fewer.

        Returns:
            uint8 (N, H, W, C), values 0 to 255; C = 1 grey, 3 RGB, 4 straight RGBA.

        Raises:
            ConfigError: a value out of its range, or a label that the generator does not know.
            BackendError: the runtime failed, or this generator is closed.
            BackendOutOfMemory: memory ran out.
        """
        backend = self._open
        asked = Request(n, seed, label, truncation)
        source, size = asked.source(backend), batch_size_for(backend, batch_size)
        image = backend.metadata.image
        images = np.empty((n, image.height, image.width, image.channels), np.uint8)
        shrink: Callable[[str], object] | None = _warn if batch_size is None else None
        sampling = Sampling(backend, seed, n, size, asked.class_of(backend), source.rows, shrink)
        for start, part, _ in sampling.batches():
            images[start - seed :][: len(part)] = part
        return images.view(Images)

    @property
    def classes(self) -> tuple[str, ...] | None:
        """The names of its classes; None if it was trained without labels."""
        return self._open.metadata.classes

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of an image, in pixels."""
        image = self._open.metadata.image
        return image.height, image.width

    @property
    def latent_dim(self) -> int:
        """Length of the latent vector z."""
        return self._open.metadata.latent.dim

    @property
    def device(self) -> str:
        """What it really runs on: cpu or cuda."""
        return self._open.device

    @property
    def _open(self) -> Backend:
        if self._backend is None:
            raise BackendError("this generator is closed: open it again with wgan.load")
        return self._backend

    def close(self) -> None:
        """Frees what the runtime holds. A second call does nothing."""
        if self._backend is not None:
            self._backend.close()
        self._backend = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        if self._backend is None:
            return "<wgan generator, closed>"
        (height, width), backend = self.image_size, self._backend
        classes = "" if self.classes is None else f", {counted(len(self.classes), 'class', 'classes')}"
        where = f"{backend.name} on {backend.device}"
        return f"<wgan generator {typed(backend.path)}: {width}×{height} px{classes}, {where}>"


def _warn(text: str) -> None:
    warnings.warn(text, UserWarning, stacklevel=2)
