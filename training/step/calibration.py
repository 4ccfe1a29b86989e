"""What BatchNorm's statistics of the averaged generator are measured on."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from wgan.serve.latents.table import latents
from wgan.training.config import Config
from wgan.training.data.labels import labels_at

# Rows of the latent table that training looks at; users' seeds start at 0.
CALIBRATION_ROWS = 2**40
CALIBRATION_BATCHES, CALIBRATION_BATCH = 8, 128


def calibration_batches(
    config: Config, device: torch.device, shares: Sequence[float]
) -> list[tuple[Tensor, Tensor | None]]:
    """Latents (128, Z) and labels (128,), eight times, always the same; no labels where ``shares`` is empty."""
    count = CALIBRATION_BATCHES * CALIBRATION_BATCH
    rows = torch.from_numpy(latents(CALIBRATION_ROWS, count, config.latent_dim)).to(device)
    if not shares:
        return [(z, None) for z in rows.split(CALIBRATION_BATCH)]
    labels = torch.from_numpy(labels_at(np.arange(count), shares)).to(device)
    return list(zip(rows.split(CALIBRATION_BATCH), labels.split(CALIBRATION_BATCH), strict=True))
