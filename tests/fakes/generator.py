"""A backend whose images are made of their latents, fast: for what surrounds a generator."""

from pathlib import Path

import numpy as np

from wgan.serve.artifacts.metadata import ImageSpec, Latent, Metadata
from wgan.serve.backends.base import Backend


class FakeGenerator(Backend):
    """8×8 images, each of which tells its latent apart from any other."""

    name = "fake"
    device = "cpu"

    def __init__(self, classes: tuple[str, ...] | None = None, digest: str = "ab" * 32):
        metadata = Metadata("onnx", "fp32", Latent(192), ImageSpec(8, 8, 3), "0" * 64, classes)
        super().__init__(metadata, digest, Path("fake.onnx"))

    def _infer(self, z: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        return np.clip(z.reshape(-1, 3, 8, 8) / 4, -1, 1)

    def close(self) -> None:
        """There is nothing to free."""
