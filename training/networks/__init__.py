"""Generator and critic: DCGAN's shape (Radford et al. 2016), the critic normalised as WGAN-GP needs it."""

from torch import nn

from wgan.training.networks.critic import Critic
from wgan.training.networks.generator import Generator, calibrate
from wgan.training.networks.sizes import widths
from wgan.training.networks.stage import LiveStage, Stage

__all__ = ["Critic", "Generator", "LiveStage", "Stage", "calibrate", "parameter_count", "widths"]


def parameter_count(module: nn.Module) -> int:
    """Trainable numbers in a network."""
    return sum(p.numel() for p in module.parameters())
