"""Floating-point operations of the networks' passes, counted without computing them."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from wgan.training.config import Config
from wgan.training.networks import Critic, Generator, Stage
from wgan.training.step.losses import critic_loss, generator_loss, gradient_penalty, score_pair

CLASSES = 8  # of a conditional run: how many its data has is not looked up


class _Counter(TorchDispatchMode):
    """Sums torch's own formulae. Its FlopCounterMode hooks modules, which autograd.grad does not allow."""

    flops = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.flops += int(formula(*args, **(kwargs or {}), out_val=out))
        return out


def count_flops(run: Callable[[], object]) -> int:
    """What ``run`` multiplies and adds in convolutions and matrix products: two for each pair."""
    counter = _Counter()  # type: ignore[no-untyped-call]
    with counter:
        run()
    return int(counter.flops)


class Passes:
    """Both networks on meta tensors, which compute nothing, and the passes that training makes of one batch.

    Args:
        config: of the run.
        stage: of its growth; None: the last.
    """

    def __init__(self, config: Config, stage: Stage | None = None):
        self.config = config
        classes = CLASSES if config.conditional else 0
        stage = stage or Stage(config.image_size)
        with torch.device("meta"):
            self.generator, self.critic = Generator(config, classes), Critic(config, classes)
            self._z = torch.empty(config.batch_size, config.latent_dim)
            self._real = torch.empty(config.batch_size, config.channels, stage.resolution, stage.resolution)
            self._epsilon = torch.empty(config.batch_size)
            self._label = torch.zeros(config.batch_size, dtype=torch.int64) if classes else None
        self.generator.stage = self.critic.stage = stage

    def generate(self) -> Tensor:
        """A batch of fakes without their graph."""
        with torch.no_grad():
            images: Tensor = self.generator(self._z, self._label)
        return images

    def criticise(self) -> Tensor:
        """The scores of a batch without their graph."""
        with torch.no_grad():
            return self._score(self._real)

    def critic_loss(self, *, penalty: bool = True) -> Tensor:
        """L_D of a batch, with its graph."""
        real, fake = self._real, self.generate()
        real_scores, fake_scores = score_pair(self._score, real, fake)
        of_slope = gradient_penalty(self._score, real, fake, self._epsilon) if penalty else None
        return critic_loss(real_scores, fake_scores, of_slope, self.config.lambda_gp).loss

    def critic_step(self, *, penalty: bool = True) -> None:
        """Fakes, L_D and its gradients."""
        self.critic_loss(penalty=penalty).backward()

    def generator_step(self) -> None:
        """Fakes, L_G and the generator's gradients: the critic's weights get none, its images do."""
        self.critic.requires_grad_(False)
        generator_loss(self._score, self.generator(self._z, self._label)).backward()
        self.critic.requires_grad_(True)

    def _score(self, images: Tensor) -> Tensor:
        scores: Tensor = self.critic(images, self._label)
        return scores


def step_flops(passes: Passes) -> float:
    """FLOPs of one step of the loop: n_critic critic steps and the generator's, penalties as often as they are made."""
    config = passes.config
    share = 1 / config.penalty_every
    critic = share * count_flops(passes.critic_step)
    if share < 1:
        critic += (1 - share) * count_flops(lambda: passes.critic_step(penalty=False))
    return config.n_critic * critic + count_flops(passes.generator_step)


def generator_flops(config: Config) -> int:
    """FLOPs of one generated image."""
    pair = config.replace(batch_size=2, accumulate=1, minibatch="none")  # BatchNorm trains on no batch of 1
    return count_flops(Passes(pair).generate) // 2
