"""The losses against what can be worked out by hand, by differences, and in float64."""

import math

import pytest
import torch
from torch import Tensor, nn

from tests.make import loss_of
from wgan.training.config import Config
from wgan.training.networks import Critic
from wgan.training.step.losses import (
    Penalty,
    critic_loss,
    generator_loss,
    gradient_penalty,
    interpolate,
    sample_norms,
    score_pair,
)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def batch(n: int = 4, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    return (
        torch.randn(n, 3, 8, 8, dtype=dtype),
        torch.randn(n, 3, 8, 8, dtype=dtype),
        torch.rand(n, dtype=dtype),
    )


def test_a_linear_critics_penalty_is_its_weights_norm() -> None:
    w = torch.randn(3, 8, 8, dtype=torch.float64)
    found = gradient_penalty(lambda x: (x * w).sum((1, 2, 3)), *batch())
    norm = w.square().sum().sqrt()
    torch.testing.assert_close(found.norms, norm.expand(4))
    torch.testing.assert_close(found.value, (norm - 1) ** 2)


def test_a_quadratic_critics_gradient_is_the_interpolate() -> None:
    real, fake, epsilon = batch()
    found = gradient_penalty(lambda x: 0.5 * x.square().sum((1, 2, 3)), real, fake, epsilon)
    x_hat = epsilon.view(-1, 1, 1, 1) * real + (1 - epsilon.view(-1, 1, 1, 1)) * fake
    torch.testing.assert_close(found.norms, x_hat.flatten(1).norm(dim=1))


def test_one_epsilon_mixes_a_whole_sample() -> None:
    real, fake = torch.ones(3, 3, 4, 4), torch.zeros(3, 3, 4, 4)
    epsilon = torch.tensor([0.0, 0.25, 1.0])
    mixed = interpolate(real, fake, epsilon)
    for share, sample in zip(epsilon, mixed, strict=True):
        assert (sample == share).all()


def test_the_gradient_norm_matches_finite_differences() -> None:
    critic = Critic(Config(image_size=8, base_channels=4)).double()
    for parameter in critic.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    real, fake, epsilon = batch(2)
    found = gradient_penalty(critic, real, fake, epsilon).norms
    x_hat, h = interpolate(real, fake, epsilon), 1e-6
    for n in range(2):
        gradient = []
        for index in range(3 * 8 * 8):
            step = torch.zeros(3 * 8 * 8, dtype=torch.float64)
            step[index] = h
            ahead, behind = (critic((x_hat[n] + s * step.view(3, 8, 8))[None]).item() for s in (1, -1))
            gradient.append((ahead - behind) / (2 * h))
        assert math.isclose(found[n].item(), math.hypot(*gradient), rel_tol=1e-6)


class Smooth(nn.Module):
    """A small critic with a second derivative everywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 4, 4, 2, 1), nn.GroupNorm(1, 4), nn.Softplus(), nn.Flatten(), nn.Linear(64, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x).squeeze(1)  # type: ignore[no-any-return]


@pytest.mark.slow
def test_the_penaltys_parameter_gradients_pass_gradcheck() -> None:
    critic = Smooth().double()
    names = [name for name, _ in critic.named_parameters()]
    values = tuple(p.detach().clone().requires_grad_(True) for p in critic.parameters())
    real, fake, epsilon = batch(2)

    def penalty(*parameters: Tensor) -> Tensor:
        named = dict(zip(names, parameters, strict=True))
        run = lambda x: torch.func.functional_call(critic, named, (x,))  # noqa: E731
        return gradient_penalty(run, real, fake, epsilon).value

    # the score's own bias moves no gradient at x_hat
    assert torch.autograd.gradcheck(penalty, values)
    assert torch.autograd.gradgradcheck(penalty, values, atol=1e-4)


def test_the_norm_is_zero_and_smooth_where_the_gradient_is_zero() -> None:
    gradient = torch.zeros(2, 3, 4, 4, requires_grad=True)
    norms = sample_norms(gradient)
    with torch.autograd.set_detect_anomaly(True):  # no NaN on the way either, which a mask would hide
        (slope,) = torch.autograd.grad((norms - 1).square().sum(), gradient)
    assert norms.tolist() == [0, 0]
    assert torch.isfinite(slope).all()


def test_a_flat_critics_penalty_is_one_and_its_gradients_are_finite() -> None:
    critic = Critic(Config(image_size=8, base_channels=2))
    for parameter in critic.parameters():
        nn.init.zeros_(parameter)
    real, fake, epsilon = batch(dtype=torch.float32)
    loss = loss_of(critic, real, fake, epsilon, lambda_gp=10.0)
    loss.loss.backward()
    assert loss.penalty == 1
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in critic.parameters())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_norms_of_short_floats_are_summed_in_float32(dtype: torch.dtype) -> None:
    gradient = torch.full((1, 3, 64, 64), 0.01, dtype=dtype)
    assert sample_norms(gradient).dtype == torch.float32
    expected = gradient[0, 0, 0, 0].item() * math.sqrt(3 * 64 * 64)
    assert math.isclose(sample_norms(gradient).item(), expected, rel_tol=1e-5)


def test_the_critics_loss_is_equation_3() -> None:
    critic = Critic(Config(image_size=8, base_channels=4)).double()
    real, fake, epsilon = batch()
    found = loss_of(critic, real, fake, epsilon, lambda_gp=7.0)
    wasserstein = critic(real).mean() - critic(fake).mean()
    penalty = gradient_penalty(critic, real, fake, epsilon).value
    torch.testing.assert_close(found.loss, -wasserstein + 7 * penalty)
    torch.testing.assert_close(found.wasserstein, wasserstein.detach())


def test_the_losses_pull_in_opposite_directions() -> None:
    scale = nn.Parameter(torch.tensor(1.0))
    critic = lambda x: scale * x.mean((1, 2, 3))  # noqa: E731
    real, fake = torch.ones(2, 3, 4, 4), torch.zeros(2, 3, 4, 4)
    loss_of(critic, real, fake, torch.rand(2), lambda_gp=0.0).loss.backward()
    assert scale.grad is not None
    assert scale.grad < 0  # raising the scale parts real from fake
    moved = torch.zeros(2, 3, 4, 4, requires_grad=True)
    generator_loss(lambda x: x.mean((1, 2, 3)), moved).backward()
    assert moved.grad is not None
    assert (moved.grad < 0).all()  # raising the fakes raises their scores


def test_a_scale_multiplies_the_scores_and_leaves_the_norms() -> None:
    w = torch.randn(3, 8, 8, dtype=torch.float64)
    scores = []

    def critic(x: Tensor) -> Tensor:
        score = (x * w).sum((1, 2, 3))
        score.register_hook(lambda slope: scores.append(slope.unique().tolist()))
        return score

    found = gradient_penalty(critic, *batch(), scale=1024.0)
    assert scores == [[1024.0]]
    torch.testing.assert_close(found.norms, w.norm().expand(4))


def test_the_compiled_penalty_is_the_same() -> None:
    critic = Critic(Config(image_size=8, base_channels=4)).double()
    real, fake, epsilon = batch()
    compiled = torch.compile(gradient_penalty, backend="eager", fullgraph=True)
    expected = gradient_penalty(critic, real, fake, epsilon)
    torch.testing.assert_close(compiled(critic, real, fake, epsilon).norms, expected.norms, rtol=0, atol=0)


@pytest.mark.parametrize(("how", "sizes"), [({}, [4, 4]), ({"together": False}, [4, 4]), ({"together": True}, [8])])
def test_real_and_fake_are_scored_apart_or_together_as_asked(how: dict[str, bool], sizes: list[int]) -> None:
    seen: list[int] = []

    def critic(x: Tensor) -> Tensor:
        seen.append(len(x))
        return x.sum((1, 2, 3))

    real, fake, _ = batch()
    real_scores, fake_scores = score_pair(critic, real, fake, **how)
    assert seen == sizes
    torch.testing.assert_close(real_scores, real.sum((1, 2, 3)))
    torch.testing.assert_close(fake_scores, fake.sum((1, 2, 3)))


def test_what_is_watched_has_the_names_of_the_records() -> None:
    real, fake = torch.tensor([3.0, 5.0]), torch.tensor([1.0, 2.0])
    found = critic_loss(real, fake, Penalty(torch.tensor(0.25), torch.tensor([0.5, 2.5])), lambda_gp=10.0, drift=0.5)
    assert {name: value.item() for name, value in found.watched().items() if value is not None} == {
        "critic_loss": -2.5 + 0.5 * 17 + 10 * 0.25,
        "wasserstein": 2.5,
        "penalty": 0.25,
        "grad_norm": 1.5,
    }
    without = critic_loss(real, fake, None, lambda_gp=10.0).watched()
    assert without == {"critic_loss": -2.5, "wasserstein": 2.5, "penalty": None, "grad_norm": None}
