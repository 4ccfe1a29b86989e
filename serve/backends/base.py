"""A generator that can be run: one small interface, whatever the runtime."""

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Protocol

import numpy as np

from wgan.serve.artifacts.artifact import Artifact, Foreign
from wgan.serve.artifacts.metadata import Metadata
from wgan.serve.base.errors import BackendError, ConfigError

DEVICES = ("auto", "cpu", "cuda")
Batch = tuple[np.ndarray, np.ndarray | None]  # latents (N, Z), and labels (N,) where there are classes


@dataclass(frozen=True)
class Options:
    """How a backend is to run; the table of backends says which of these options each takes.

    Args:
        provider: which of its ways to a device; None to go by the device.
        threads: of one operator on the CPU; None for one a core.
    """

    provider: str | None = None
    threads: int | None = None


def check_device(name: str) -> None:
    """Refuses an unknown device name.

    Raises:
        ConfigError: it is not one of `DEVICES`.
    """
    if name not in DEVICES:
        raise ConfigError(f"--device {name} is not one of {', '.join(DEVICES)}")


class Backend(ABC):
    """An open generator. A context manager; `close` frees what it holds."""

    name: str
    device: str  # what it really runs on: cpu or cuda
    # from this batch size on, an image's bits do not depend on the batch (measured, see the tests)
    steady_batch: int = 1
    # whether several threads may run it at a time, each a batch of its own
    concurrent: bool = False
    # what a user should know of how it runs; it may be known only when it has run
    notice: str | None = None
    # which of several ways to the device it takes, where the runtime has more than one
    provider: str | None = None
    # what nothing in the file vouches for, where another tool wrote it
    assumes: str | None = None
    # what a parity report says of it beside the device
    measured_with: Mapping[str, str] = MappingProxyType({})

    def __init__(self, metadata: Metadata, digest: str, path: Path):
        self.metadata = metadata
        self.digest = digest  # identifies the weights and the format
        self.path = path

    def run(self, z: np.ndarray, labels: np.ndarray | None = None) -> np.ndarray:
        """Images for latents.

        Args:
            z: float32 (N, Z).
            labels: int64 (N,), numbers of `metadata.classes`; None where there are none.

        Returns:
            What `metadata.image` says: float32 (N, C, H, W) in [-1, 1], or uint8 (N, H, W, C).

        Raises:
            BackendError: wrong shape, or the runtime failed.
        """
        self._check(z, labels)
        image = self.metadata.image
        images = self._infer(np.ascontiguousarray(z), None if labels is None else np.ascontiguousarray(labels))
        wanted = (len(z), *image.shape)
        if images.shape != wanted or images.dtype != image.dtype:
            given = f"{images.dtype} {images.shape}"
            raise BackendError(f"{self.path} gave {given}, its metadata says {image.dtype} {wanted}")
        return images

    def stream(self, batches: Iterable[Batch]) -> Generator[np.ndarray, None, None]:
        """`run` for each batch, in order; a backend may work on one while the caller has another.

        Yields:
            The images of each, which may be overwritten when the next are asked for. The batches may be asked
            for ahead. Take all, or close the generator, before anything else runs on this backend.
        """
        for z, labels in batches:
            yield self.run(z, labels)

    def _check(self, z: np.ndarray, labels: np.ndarray | None) -> None:
        """Refuses inputs that this generator does not take."""
        dim, classes = self.metadata.latent.dim, self.metadata.classes
        if z.ndim != 2 or z.shape[1] != dim or z.dtype != np.float32 or not len(z):
            raise BackendError(f"latents must be float32 (N, {dim}), not {z.dtype} {z.shape}")
        if classes is None:
            if labels is not None:
                raise BackendError(f"{self.path} has no classes: labels mean nothing to it")
            return
        if labels is None or labels.shape != (len(z),) or labels.dtype != np.int64:
            given = "none" if labels is None else f"{labels.dtype} {labels.shape}"
            raise BackendError(f"{self.path} needs labels int64 ({len(z)},), not {given}")
        if labels.min() < 0 or labels.max() >= len(classes):
            raise BackendError(f"labels of {self.path} go from 0 to {len(classes) - 1}")

    @abstractmethod
    def _infer(self, z: np.ndarray, labels: np.ndarray | None) -> np.ndarray: ...

    @abstractmethod
    def close(self) -> None:
        """Frees what the runtime holds."""

    def __enter__(self) -> "Backend":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Opener(Protocol):
    """What opens a model with one backend, as the table of backends names it."""

    def __call__(self, model: Artifact | Path, device: str, options: Options, trusted: bool, /) -> Backend:
        """An open generator.

        Args:
            model: an artifact that has been read, or the path of a checkpoint.
            device: one of `DEVICES`.
            options: those that this backend does not take are None.
            trusted: whether this process made the artifact, so that code in it may run.

        Raises:
            BackendUnavailable: the runtime is not installed or cannot run here.
            BackendError: it cannot load the model.
        """


class ForeignOpener(Protocol):
    """What opens a file that wgan did not write."""

    def __call__(self, foreign: Foreign, device: str, options: Options, /) -> Backend:
        """An open generator, which `assumes` what the file does not say. Raises as `Opener`, and ArtifactError."""
