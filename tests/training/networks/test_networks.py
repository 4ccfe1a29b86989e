"""The networks have DCGAN's layers, one by one."""

import pytest
import torch
from torch import nn

from wgan.training.config import Config
from wgan.training.networks import Critic, Generator, calibrate, parameter_count, widths
from wgan.training.step.ema import Ema

GENERATOR_64 = [
    ("Linear", (2, 8192)),
    ("BatchNorm1d", (2, 8192)),
    ("ReLU", (2, 8192)),
    ("ConvTranspose2d", (2, 256, 8, 8)),
    ("BatchNorm2d", (2, 256, 8, 8)),
    ("ReLU", (2, 256, 8, 8)),
    ("ConvTranspose2d", (2, 128, 16, 16)),
    ("BatchNorm2d", (2, 128, 16, 16)),
    ("ReLU", (2, 128, 16, 16)),
    ("ConvTranspose2d", (2, 64, 32, 32)),
    ("BatchNorm2d", (2, 64, 32, 32)),
    ("ReLU", (2, 64, 32, 32)),
    ("ConvTranspose2d", (2, 3, 64, 64)),
    ("Tanh", (2, 3, 64, 64)),
]
CRITIC_64 = [
    ("Conv2d", (2, 64, 32, 32)),
    ("LeakyReLU", (2, 64, 32, 32)),
    ("Conv2d", (2, 128, 16, 16)),
    ("GroupNorm", (2, 128, 16, 16)),
    ("LeakyReLU", (2, 128, 16, 16)),
    ("Conv2d", (2, 256, 8, 8)),
    ("GroupNorm", (2, 256, 8, 8)),
    ("LeakyReLU", (2, 256, 8, 8)),
    ("Conv2d", (2, 512, 4, 4)),
    ("GroupNorm", (2, 512, 4, 4)),
    ("LeakyReLU", (2, 512, 4, 4)),
    ("AdaptiveAvgPool2d", (2, 512, 1, 1)),
    ("Flatten", (2, 512)),
    ("Linear", (2, 1)),
]


def trace(module: nn.Module, argument: torch.Tensor) -> list[tuple[str, tuple[int, ...]]]:
    """Every layer that ran, in order, with its output's shape."""
    seen: list[tuple[str, tuple[int, ...]]] = []
    for layer in module.modules():
        if not list(layer.children()) and not isinstance(layer, nn.Sequential | nn.Identity | nn.ModuleList):
            layer.register_forward_hook(lambda m, _, out: seen.append((type(m).__name__, tuple(out.shape))))
    module(argument)
    return seen


def test_the_generator_at_64_is_the_documents() -> None:
    assert trace(Generator(Config()), torch.zeros(2, 128)) == GENERATOR_64


def test_the_critic_at_64_is_the_documents() -> None:
    critic = Critic(Config())
    assert trace(critic, torch.zeros(2, 3, 64, 64)) == CRITIC_64
    assert critic(torch.zeros(2, 3, 64, 64)).shape == (2,)


def test_every_convolution_is_4_by_4_with_stride_2() -> None:
    layers = [m for net in (Generator(Config()), Critic(Config())) for m in net.modules() if hasattr(m, "kernel_size")]
    assert len(layers) == 8
    assert all(m.kernel_size == (4, 4) and m.stride == (2, 2) for m in layers)


def test_leaky_slopes_are_the_documents() -> None:
    slopes = {m.negative_slope for m in Critic(Config()).modules() if isinstance(m, nn.LeakyReLU)}
    assert slopes == {0.2}


@pytest.mark.parametrize("size", [8, 16, 32, 64, 128, 256])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_every_size_and_channel_count_runs(size: int, channels: int) -> None:
    config = Config(image_size=size, latent_dim=5, base_channels=2, channels=channels)
    generator = Generator(config)
    image = generator(torch.zeros(2, 5))
    assert image.shape == (2, channels, size, size)
    assert image.abs().max() <= 1
    assert Critic(config)(image).shape == (2,)


def test_widths_stop_at_eight_times_the_base() -> None:
    assert widths(64, 64) == {4: 512, 8: 256, 16: 128, 32: 64}
    assert list(widths(256, 64).values()) == [512, 512, 512, 256, 128, 64]
    assert widths(8, 64) == {4: 64}


def test_weights_start_from_a_normal_of_deviation_0_02() -> None:
    torch.manual_seed(0)
    for net in (Generator(Config()), Critic(Config())):
        for module in net.modules():
            if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
                # 5 standard errors of a deviation estimated from so many numbers
                assert abs(module.weight.std().item() - 0.02) < 5 * 0.02 / (2 * module.weight.numel()) ** 0.5
                assert module.bias is None or module.bias.abs().max() == 0
            elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.GroupNorm):
                assert module.weight.min() == module.weight.max() == 1


def test_the_critic_scores_each_image_by_itself() -> None:
    torch.manual_seed(0)
    critic = Critic(Config(image_size=16, base_channels=4)).double()
    batch = torch.randn(4, 3, 16, 16, dtype=torch.float64)
    alone = torch.cat([critic(image[None]) for image in batch])
    torch.testing.assert_close(critic(batch), alone)


@pytest.mark.parametrize(("head", "blind"), [("pool", True), ("flatten", False)])
def test_a_critic_without_the_mean_sees_where_things_are(head: str, blind: bool) -> None:
    """Its last features, turned around by half their width, are a score that only a blind critic keeps."""
    torch.manual_seed(0)
    critic = Critic(Config(image_size=16, base_channels=4, critic_head=head))
    features = torch.randn(3, 8, 4, 4)
    scores = [critic.score(critic.pool(f)) for f in (features, features.roll(2, dims=3))]
    assert torch.allclose(*scores, atol=1e-6) == blind


def test_parameters_are_counted() -> None:
    assert parameter_count(Generator(Config())) == 128 * 8192 + 2 * 8192 + 16 * (
        512 * 256 + 256 * 128 + 128 * 64 + 64 * 3
    ) + (2 * (256 + 128 + 64) + 3)


def test_calibration_gives_the_statistics_of_the_latents() -> None:
    torch.manual_seed(0)
    generator = Generator(Config(image_size=16, latent_dim=8, base_channels=4))
    z = torch.randn(512, 8)
    calibrate(generator, [(part, None) for part in z.split(128)])
    norm = generator.project.norm
    projected = generator.project.change(z)
    torch.testing.assert_close(norm.running_mean, projected.mean(0), rtol=1e-4, atol=1e-5)
    assert norm.momentum == 0.1
    assert not generator.training


def test_the_average_follows_the_weights_and_zero_decay_copies() -> None:
    torch.manual_seed(0)
    generator = Generator(Config(image_size=8, latent_dim=4, base_channels=2))
    average, copy = Ema(generator, 0.5), Ema(generator, 0.0)
    before = [p.clone() for p in generator.parameters()]
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.add_(1.0)
    average.update(generator, step=1000)
    copy.update(generator, step=1000)
    for old, mean, same in zip(before, average.module.parameters(), copy.module.parameters(), strict=True):
        torch.testing.assert_close(mean, old + 0.5)
        torch.testing.assert_close(same, old + 1)
