"""The losses of WGAN-GP (Gulrajani et al. 2017, equation 3).

    L_D = E[D(x̃)] - E[D(x)] + λ E[(‖∇_x̂ D(x̂)‖₂ - 1)²],   x̂ = εx + (1-ε)x̃
    L_G = -E[D(G(z))]

Shapes: N batch, C H W image.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.compiler import is_compiling

from wgan.training.networks.precision import widened

CriticFn = Callable[[Tensor], Tensor]


class Penalty(NamedTuple):
    """The penalty E[(‖∇‖-1)²], without λ, and the gradient norms (N,) it came from."""

    value: Tensor
    norms: Tensor


class CriticLoss(NamedTuple):
    """The critic's loss and, detached, what is watched: scalars on the device, None where there was no penalty."""

    loss: Tensor
    wasserstein: Tensor
    penalty: Tensor | None
    grad_norm: Tensor | None

    def watched(self) -> dict[str, Tensor | None]:
        """The values by the names that records have for them."""
        return {"critic_loss": self.loss, **{name: getattr(self, name) for name in self._fields[1:]}}


def interpolate(real: Tensor, fake: Tensor, epsilon: Tensor) -> Tensor:
    """x̂ = εx + (1-ε)x̃ (N, C, H, W), one ε (N,) for each whole sample."""
    return torch.lerp(fake, real, epsilon.view(-1, *[1] * (real.dim() - 1)))


def sample_norms(gradient: Tensor) -> Tensor:
    """‖∇‖₂ of each sample over all of C, H, W, as (N,) float32 (or float64 if given).

    The square root's slope is infinite at zero: there, norm and slope are both zero.
    """
    squares = widened(gradient).flatten(1).square().sum(1)  # (N,)
    zero = squares == 0
    return squares.masked_fill(zero, 1.0).sqrt().masked_fill(zero, 0.0)


def gradient_penalty(
    critic: CriticFn, real: Tensor, fake: Tensor, epsilon: Tensor, scale: Tensor | float = 1.0
) -> Penalty:
    """E[(‖∇_x̂ D(x̂)‖₂ - 1)²] at the interpolates, differentiable in the critic's parameters.

    Args:
        critic: (N, C, H, W) → (N,); each score may depend on its own sample alone.
        real: x (N, C, H, W).
        fake: x̃ (N, C, H, W), detached from the generator.
        epsilon: ε (N,) in [0, 1).
        scale: multiplies the scores, and divides the gradient again before its norm: a critic that
            computes in float16 would otherwise lose small gradients on the way to the image.
    """

    def total(x_hat: Tensor) -> Tensor:
        return (critic(x_hat) * scale).sum()  # summing the scores gives each sample its own gradient

    norms = sample_norms(_slope(total, interpolate(real, fake, epsilon)) / scale)
    return Penalty((norms - 1).square().mean(), norms)


def _slope(function: CriticFn, x: Tensor) -> Tensor:
    """∇_x of a scalar function, differentiable in its parameters.

    The compiler follows torch.func, not autograd.grad; the bits are the same. Not compiled, torch.func costs a small
    network a sixth of its time, and cannot recompute activations.
    """
    if is_compiling():
        gradient: Tensor = torch.func.grad(function)(x)
        return gradient
    x = x.requires_grad_(True)
    (gradient,) = torch.autograd.grad(function(x), x, create_graph=True)
    return gradient


def score_pair(critic: CriticFn, real: Tensor, fake: Tensor, *, together: bool = False) -> tuple[Tensor, Tensor]:
    """D(x) and D(x̃), each (N,).

    ``together``: as one batch (2N, C, H, W), which is fewer and larger kernels; where samples of a batch see each
    other, as by minibatch statistics, that would be another critic.
    """
    if together:
        real_scores, fake_scores = critic(torch.cat([real, fake])).chunk(2)
        return real_scores, fake_scores
    return critic(real), critic(fake)


def critic_loss(
    real_scores: Tensor, fake_scores: Tensor, penalty: Penalty | None, lambda_gp: float, drift: float = 0.0
) -> CriticLoss:
    """L_D of one batch, to be minimised.

    Args:
        real_scores: D(x) (N,).
        fake_scores: D(x̃) (N,).
        penalty: of the same batch, or None for a step without one.
        lambda_gp: λ.
        drift: weight of E[D(x)²] (Karras et al. 2018, appendix A.1).
    """
    wasserstein = real_scores.mean() - fake_scores.mean()  # E[D(x)] - E[D(x̃)]
    loss = -wasserstein
    if drift:
        loss = loss + drift * real_scores.square().mean()
    if penalty is None:
        return CriticLoss(loss, wasserstein.detach(), None, None)
    loss = loss + lambda_gp * penalty.value
    return CriticLoss(loss, wasserstein.detach(), penalty.value.detach(), penalty.norms.detach().mean())


def generator_loss(critic: CriticFn, fake: Tensor) -> Tensor:
    """L_G of one batch of fakes (N, C, H, W) that carry the generator's graph."""
    return -critic(fake).mean()
