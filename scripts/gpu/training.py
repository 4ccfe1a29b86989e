"""What the stages that train share: settings, ways to compute a step, real images, and how far a step went."""

from typing import Any

import torch
from torch import Tensor

from gpu.rows import Here
from wgan.training import config
from wgan.training.config import Config
from wgan.training.step.trainer import Trainer

BATCHES = (64, 512)  # that steps are timed with
TINY: dict[str, Any] = {"image_size": 8, "base_channels": 2, "batch_size": 8, "n_critic": 2}
WAYS: dict[str, dict[str, Any]] = {
    "eager": {"compile": "off", "cuda_graphs": "off"},
    "graphs": {"compile": "off", "cuda_graphs": "auto"},
    "compiled": {"compile": "on", "cuda_graphs": "off"},
    "compiled, graphs": {"compile": "on", "cuda_graphs": "auto"},
}


def settings(tiny: bool, **changes: Any) -> Config:
    """The preset `wgan-gp-64` with these changes, small where ``tiny``."""
    return config.load("wgan-gp-64").replace(**{**(TINY if tiny else {}), **changes})


class Reals:
    """The same few uint8 batches each time, on the device."""

    def __init__(self, settings: Config, device: torch.device, batches: int = 4):
        size, random = settings.image_size, torch.Generator().manual_seed(1)
        shape = (batches, settings.batch_size, size, size, settings.channels)
        self._images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=random).to(device)
        self._given = 0

    def next(self) -> tuple[Tensor, None]:
        """uint8 (N, H, W, C), without labels."""
        self._given += 1
        return self._images[self._given % len(self._images)], None


def moved(trainer: Trainer, reals: Any, steps: int) -> Tensor:
    """How far each weight of both networks goes in so many steps, float64 on the CPU."""
    parameters = [*trainer.generator.parameters(), *trainer.critic.parameters()]
    begun = [p.detach().clone() for p in parameters]
    for _ in range(steps):
        trainer.iterate(reals)
    return torch.cat([(p.detach() - b).flatten() for p, b in zip(parameters, begun, strict=True)]).double().cpu()


def apart(ours: Tensor, wanted: Tensor) -> float:
    """Their distance in units of how far ``wanted`` went."""
    return float((ours - wanted).norm() / wanted.norm())


def batch(here: Here, size: int) -> dict[str, int]:
    """The change to a batch of this size; none where everything is tiny."""
    return {} if here.tiny else {"batch_size": size}
