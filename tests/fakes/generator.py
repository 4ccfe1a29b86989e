"""A backend whose images are made of their latents, fast: for what surrounds a generator."""

import threading
import time
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


class SlowGenerator(FakeGenerator):
    """Takes its time for each batch, and counts.

    Args:
        seconds: of a batch, in which other threads run. Beside that, no batch is made while ``open`` is not set.
        name: "onnx" is run by several workers at a time, any other by one.
    """

    def __init__(self, seconds: float, name: str = "fake", classes: tuple[str, ...] | None = None):
        super().__init__(classes)
        self.seconds, self.name = seconds, name
        self.concurrent = name == "onnx"
        self.batches: list[int] = []
        self.open, self.entered = threading.Event(), threading.Event()
        self.open.set()

    @property
    def made(self) -> int:
        """Images."""
        return sum(self.batches)

    def _infer(self, z: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        if not self.open.is_set():
            self.entered.set()
        assert self.open.wait(60)
        time.sleep(self.seconds)
        self.batches.append(len(z))
        return super()._infer(z, labels)
