"""A step of the loop on images of noise, to be timed before a run begins."""

import torch
from torch import Tensor

from wgan.training.config import Config
from wgan.training.step.flops import CLASSES
from wgan.training.step.trainer import Trainer


class TrialStep:
    """n_critic critic steps and a generator step at the trainer's stage; returns when the device has done them."""

    def __init__(self, config: Config, device: torch.device):
        shares = [1 / CLASSES] * CLASSES if config.conditional else []
        self._device = device
        self.trainer = Trainer(config, device, shares)
        size = (config.batch_size, config.image_size, config.image_size, config.channels)
        noise = torch.Generator().manual_seed(0)
        self._images = torch.randint(256, size, dtype=torch.uint8, generator=noise).to(device)
        self._labels = (torch.arange(config.batch_size) % CLASSES).to(device)

    def next(self) -> tuple[Tensor, Tensor]:
        """As `BatchStream` gives them."""
        return self._images, self._labels

    def __call__(self) -> None:
        """One step."""
        self.trainer.learn(self)
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
