"""A backend that runs .onnx files and is in no folder of the product: images from the seed alone, by numpy."""

from pathlib import Path

import numpy as np

from wgan.serve.artifacts.artifact import Artifact
from wgan.serve.artifacts.formats import BackendRow
from wgan.serve.backends.base import Backend, Options
from wgan.serve.machine.gpu import Driver

ROW = BackendRow(
    "fake",
    formats=("onnx",),
    devices=("cpu",),
    extras=("onnx",),
    opens="tests.fakes.backend:open_fake",
    verdict="tests.fakes.backend:verdict",
    options=("threads",),
)


class FakeBackend(Backend):
    """Each image is of one value, its first latent's sign."""

    name = "fake"
    device = "cpu"

    def __init__(self, artifact: Artifact, threads: int | None = None):
        super().__init__(artifact.metadata, artifact.metadata.payload_sha256, artifact.path)
        self.threads = threads

    def _infer(self, z: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        signs = np.sign(z[:, 0]).astype(np.float32)
        return np.broadcast_to(signs[:, None, None, None], (len(z), *self.metadata.image.shape))

    def close(self) -> None:
        """Holds nothing."""


def open_fake(artifact: Artifact | Path, _device: str, options: Options, _trusted: bool) -> Backend:
    """An `Opener`."""
    assert isinstance(artifact, Artifact)
    return FakeBackend(artifact, options.threads)


def verdict(device: str, driver: Driver | None) -> str:
    """For `wgan doctor`."""
    return f"fake 1.0 on {device}"
