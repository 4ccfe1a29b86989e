"""The average of the generator's weights over its updates: what is sampled, validated and exported."""

import copy

import torch
from torch import Tensor

from wgan.training.networks import Generator, calibrate

SPECTRAL_ITERATIONS = 8


class Ema:
    """A second generator whose weights follow the first's: w̄ ← d·w̄ + (1-d)·w.

    Early on, d rises from 0 as (1+t)/(10+t), so that the first random weights are soon forgotten.
    A decay of 0 makes it a plain copy.
    """

    def __init__(self, generator: Generator, decay: float):
        self.module = copy.deepcopy(generator).eval().requires_grad_(False)
        self.module.recompute.on = False  # nothing is differentiated here
        self.decay = decay

    def copy(self, generator: Generator) -> None:
        """Begins again, from these weights."""
        self.module.load_state_dict(generator.state_dict())

    @torch.no_grad()
    def update(self, generator: Generator, step: int) -> None:
        """Takes in the weights after update number ``step`` (from 1)."""
        decay = min(self.decay, step / (step + 9))
        averages: list[Tensor] = list(self.module.parameters())
        weights: list[Tensor] = list(generator.parameters())
        torch._foreach_lerp_(averages, weights, 1 - decay)

    def calibrate(self, generator: Generator, batches: list[tuple[Tensor, Tensor | None]]) -> None:
        """Gives the averaged weights BatchNorm statistics and spectral norms of their own.

        Both depend on the weights now and on ``generator``'s norms alone, not on earlier calls. See
        `networks.generator.calibrate`.
        """
        self.module.copy_spectral_norms(generator)
        self.module.iterate_spectral_norms(SPECTRAL_ITERATIONS)
        calibrate(self.module, batches)
