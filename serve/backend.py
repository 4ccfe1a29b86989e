"""A generator that can be run: one small interface, whatever the runtime."""

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable
from pathlib import Path
from types import TracebackType

import numpy as np

from wgan.serve import artifact
from wgan.serve.errors import ArtifactError, BackendError
from wgan.serve.metadata import Metadata
from wgan.serve.torch_device import check_name


class Backend(ABC):
    """An open generator. A context manager; `close` frees what it holds."""

    name: str
    device: str  # what it really runs on: cpu or cuda
    # from this batch size on, an image's bits do not depend on the batch (measured, see the tests)
    steady_batch: int = 1
    # what a user should know of how it runs, once it has run
    notice: str | None = None

    def __init__(self, metadata: Metadata, digest: str, path: Path):
        self.metadata = metadata
        self.digest = digest  # identifies the weights and the format
        self.path = path

    def run(self, z: np.ndarray) -> np.ndarray:
        """Images for latents.

        Args:
            z: float32 (N, Z).

        Returns:
            float32 (N, C, H, W) in [-1, 1].

        Raises:
            BackendError: wrong shape, or the runtime failed.
        """
        latent, image = self.metadata.latent, self.metadata.image
        if z.ndim != 2 or z.shape[1] != latent.dim or z.dtype != np.float32 or not len(z):
            raise BackendError(f"latents must be float32 (N, {latent.dim}), not {z.dtype} {z.shape}")
        images = self._infer(np.ascontiguousarray(z))
        wanted = (len(z), image.channels, image.height, image.width)
        if images.shape != wanted or images.dtype != np.float32:
            raise BackendError(f"{self.path} gave {images.dtype} {images.shape}, its metadata says float32 {wanted}")
        return images

    def stream(self, batches: Iterable[tuple[np.ndarray, ...]]) -> Generator[np.ndarray, None, None]:
        """`run` for each batch's arguments, in order; a backend may work on one while the caller has another.

        Yields:
            The images of each, which may be overwritten when the next are asked for. The batches may be asked
            for ahead. Take all, or close the generator, before anything else runs on this backend.
        """
        for arguments in batches:
            yield self.run(*arguments)

    @abstractmethod
    def _infer(self, z: np.ndarray) -> np.ndarray: ...

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
    if opened.metadata.classes is not None:
        raise ArtifactError(f"{path} is conditional, which this version cannot run: update wgan")
    kind = opened.metadata.format
    if kind == "onnx":
        from wgan.serve.onnx_backend import OnnxBackend

        return OnnxBackend(opened, device)
    if kind == "torchscript":
        from wgan.serve.torchscript_backend import TorchScriptBackend

        return TorchScriptBackend(opened, device)
    from wgan.serve.trt_backend import TrtBackend

    return TrtBackend(opened, device)
