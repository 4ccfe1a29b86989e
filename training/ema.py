"""The average of the generator's weights over its updates: what is sampled, validated and exported."""

import copy

import torch
from torch import Tensor, nn

from wgan.training.networks import calibrate


class Ema:
    """A second generator whose weights follow the first's: w̄ ← d·w̄ + (1-d)·w.

    Early on, d rises from 0 as (1+t)/(10+t), so that the first random weights are soon forgotten.
    A decay of 0 makes it a plain copy.
    """

    def __init__(self, generator: nn.Module, decay: float):
        self.module = copy.deepcopy(generator).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, generator: nn.Module, step: int) -> None:
        """Takes in the weights after update number ``step`` (from 1)."""
        decay = min(self.decay, step / (step + 9))
        averages: list[Tensor] = list(self.module.parameters())
        weights: list[Tensor] = list(generator.parameters())
        torch._foreach_lerp_(averages, weights, 1 - decay)

    def calibrate(self, batches: list[Tensor]) -> None:
        """Gives the averaged weights BatchNorm statistics of their own. See `networks.calibrate`."""
        calibrate(self.module, batches)
