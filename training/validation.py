"""Looks at the deployable generator: a grid from fixed seeds, and its distance to real images."""

import time
from statistics import fmean
from typing import Any

import numpy as np
import torch
from torch import nn

from wgan.serve.images import to_uint8
from wgan.serve.latents import latents
from wgan.training.metrics import sliced_wasserstein
from wgan.training.relative import Relative

GRID = 64  # images in a sample grid, seeds 0 to 63
VALIDATION_ROWS = 2**41  # rows of the latent table that are compared with real images
BATCH = 64


@torch.no_grad()
def generate(generator: nn.Module, first: int, count: int, latent_dim: int, device: torch.device) -> np.ndarray:
    """Images of rows first … first+count-1 of the latent table, uint8 (count, H, W, C)."""
    parts = []
    for start in range(first, first + count, BATCH):
        z = torch.from_numpy(latents(start, min(BATCH, first + count - start), latent_dim))
        parts.append(to_uint8(generator(z.to(device)).float().cpu().numpy()))
    return np.concatenate(parts)


def pick(images: np.ndarray, count: int, seed: int) -> np.ndarray:
    """At most ``count`` of the images, drawn without replacement, in their order."""
    if len(images) <= count:
        return np.asarray(images)
    chosen = np.random.default_rng(seed).choice(len(images), count, replace=False)
    return np.asarray(images[np.sort(chosen)])


class Validation:
    """Sliced Wasserstein distance of a generator's images to a fixed set of real ones."""

    def __init__(self, reference: np.ndarray, latent_dim: int, device: torch.device):
        self.reference, self.latent_dim, self.device = reference, latent_dim, device
        self._relative = Relative(reference, device)

    def __call__(self, generator: nn.Module) -> dict[str, Any]:
        """A record for the history: the mean distance and each level's, times 1000, diversity and sharpness."""
        began = time.monotonic()
        images = generate(generator, VALIDATION_ROWS, len(self.reference), self.latent_dim, self.device)
        levels = self.distance(images)
        found = {"swd": fmean(levels.values()), "swd_levels": levels, **self._relative(images)}
        return {**found, "seconds": time.monotonic() - began}

    def distance(self, images: np.ndarray) -> dict[str, float]:
        """Each level's distance of uint8 images (N, H, W, C) to the reference, times 1000, by its resolution."""
        found = sliced_wasserstein(self.reference, images, device=self.device)
        return {str(size): value for size, value in found.levels.items()}
