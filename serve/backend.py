"""A generator that can be run: one small interface, whatever the runtime."""

from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType

import numpy as np

from wgan.serve import artifact
from wgan.serve.errors import BackendError
from wgan.serve.metadata import Metadata
from wgan.serve.torch_device import check_name


class Backend(ABC):
    """An open generator. A context manager; `close` frees what it holds."""

    name: str
    device: str  # what it really runs on: cpu or cuda
    # from this batch size on, an image's bits do not depend on the batch (measured, see the tests)
    steady_batch: int = 1

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
            float32 (N, C, H, W) in [-1, 1].

        Raises:
            BackendError: wrong shape, more than the artifact's maximum batch, or the runtime failed.
        """
        latent, image = self.metadata.latent, self.metadata.image
        if z.ndim != 2 or z.shape[1] != latent.dim or z.dtype != np.float32 or not len(z):
            raise BackendError(f"latents must be float32 (N, {latent.dim}), not {z.dtype} {z.shape}")
        self._check_labels(labels, len(z))
        if self.metadata.max_batch and len(z) > self.metadata.max_batch:
            raise BackendError(f"{self.path} takes {self.metadata.max_batch} images at a time, not {len(z)}")
        images = self._infer(np.ascontiguousarray(z), None if labels is None else np.ascontiguousarray(labels))
        wanted = (len(z), image.channels, image.height, image.width)
        if images.shape != wanted or images.dtype != np.float32:
            raise BackendError(f"{self.path} gave {images.dtype} {images.shape}, its metadata says float32 {wanted}")
        return images

    def _check_labels(self, labels: np.ndarray | None, count: int) -> None:
        classes = self.metadata.classes
        if classes is None:
            if labels is not None:
                raise BackendError(f"{self.path} has no classes: labels mean nothing to it")
            return
        if labels is None or labels.shape != (count,) or labels.dtype != np.int64:
            found = "none" if labels is None else f"{labels.dtype} {labels.shape}"
            raise BackendError(f"{self.path} needs labels int64 ({count},), not {found}")
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


def open_backend(path: Path, *, device: str = "auto") -> Backend:
    """Opens an artifact with the runtime that its ending names.

    Raises:
        ArtifactError: the file is missing, damaged or not ours.
        BackendUnavailable: the runtime is not installed or cannot run here.
        ConfigError: an unknown device.
    """
    check_name(device)
    opened = artifact.read(path)
    kind = opened.metadata.format
    if kind == "onnx":
        from wgan.serve.onnx_backend import OnnxBackend

        return OnnxBackend(opened, device)
    if kind == "torchscript":
        from wgan.serve.torchscript_backend import TorchScriptBackend

        return TorchScriptBackend(opened, device)
    from wgan.serve.trt_backend import TrtBackend

    return TrtBackend(opened, device)
