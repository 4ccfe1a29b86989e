"""Validation within a run: images from fixed seeds, and their sliced Wasserstein distance to real ones."""

import time
from collections.abc import Iterator, Sequence
from statistics import fmean
from typing import Any

import numpy as np
import torch

from wgan.serve.backends.pytorch.pieces import in_pieces
from wgan.serve.latents.table import latents
from wgan.serve.outputs.pixels import to_uint8
from wgan.training.config import Config
from wgan.training.data.labels import labels_at
from wgan.training.measures.diversity import DiversityAndSharpness
from wgan.training.measures.sliced_wasserstein import sliced_wasserstein
from wgan.training.measures.transparency import said
from wgan.training.networks import Generator
from wgan.training.networks.layers import doubled

GRID = 64  # images in a sample grid, seeds 0 to 63
VALIDATION_ROWS = 2**41  # rows of the latent table that are compared with real images
BATCH = 64


def generate(generator: Generator, z: np.ndarray, labels: np.ndarray | None, size: int) -> np.ndarray:
    """Images for latents (N, Z) and labels (N,), uint8 (N, size, size, C); enlarged while the generator grows."""
    device = next(generator.parameters()).device

    @torch.no_grad()
    def some(z: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        label = None if labels is None else torch.from_numpy(labels).to(device)
        images = generator(torch.from_numpy(z).to(device), label).float()
        while images.shape[2] < size:
            images = doubled(images)
        return to_uint8(images.cpu().numpy())

    if device.type == "cpu":
        return in_pieces(some, z, labels)
    batches = (slice(start, start + BATCH) for start in range(0, len(z), BATCH))
    return np.concatenate([some(z[here], None if labels is None else labels[here]) for here in batches])


def validation_batches(
    generator: Generator, count: int, config: Config, shares: Sequence[float]
) -> Iterator[np.ndarray]:
    """The images that are compared with real ones, uint8 (n, H, W, C) at a time, ``shares`` of each class."""
    for done in range(0, count, BATCH):
        rows = np.arange(VALIDATION_ROWS + done, VALIDATION_ROWS + min(done + BATCH, count))
        labels = labels_at(rows, shares) if shares else None
        yield generate(generator, latents(int(rows[0]), len(rows), config.latent_dim), labels, config.image_size)


class Validation:
    """Sliced Wasserstein distance of a generator's images to a fixed set of real ones, label for label."""

    def __init__(self, reference: np.ndarray, labels: np.ndarray | None, config: Config, device: torch.device):
        self.reference, self.labels, self.config, self.device = reference, labels, config, device
        self._diversity = DiversityAndSharpness(reference, device)

    def __call__(self, generator: Generator) -> dict[str, Any]:
        """A record for the history: the mean distance and each level's, times 1000, diversity and sharpness.

        Of transparent images it says how their alpha counts, in ``swd_alpha``.
        """
        began = time.monotonic()
        z = latents(VALIDATION_ROWS, len(self.reference), self.config.latent_dim)
        images = generate(generator, z, self.labels, self.config.image_size)
        levels = self.distance(images)
        record = {"swd": fmean(levels.values()), "swd_levels": levels, **self._diversity(images)}
        return {**record, **said(self.config.channels, "swd"), "seconds": time.monotonic() - began}

    def distance(self, images: np.ndarray) -> dict[str, float]:
        """As `level_distances`, to the reference."""
        return level_distances(self.reference, images, self.device)


def level_distances(reference: np.ndarray, images: np.ndarray, device: torch.device) -> dict[str, float]:
    """Each level's distance of uint8 images (N, H, W, C) to the reference, times 1000, by its resolution."""
    levels = sliced_wasserstein(reference, images, device=device).levels
    return {str(size): value for size, value in levels.items()}
