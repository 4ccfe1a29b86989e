"""Smooth doubling: what it computes, that it leaves no pattern, and that it is deployed as an ordinary layer."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wgan.export.reference.fold import fold
from wgan.training.config import Config
from wgan.training.networks import Generator
from wgan.training.networks.layers import doubled
from wgan.training.networks.resample import SmoothUp, boxed

SMALL = Config(image_size=16, base_channels=4, latent_dim=6, upsampling="smooth")


@pytest.mark.parametrize("bias", [True, False])
def test_it_is_nearest_neighbours_and_then_a_convolution(bias: bool) -> None:
    torch.manual_seed(0)
    up, x = SmoothUp(3, 5, bias=bias), torch.randn(2, 3, 6, 7)
    kernel = up.weight.transpose(0, 1).flip(2, 3)  # as a convolution has it
    wanted = F.conv2d(doubled(x), kernel, up.bias, padding=1)
    torch.testing.assert_close(up(x), wanted)
    settled = up.settled()
    assert type(settled) is nn.ConvTranspose2d
    torch.testing.assert_close(settled(x), up(x))


def test_a_box_keeps_every_weight_four_times() -> None:
    assert boxed(torch.ones(3, 3)).tolist() == [[1, 2, 2, 1], [2, 4, 4, 2], [2, 4, 4, 2], [1, 2, 2, 1]]


def test_flat_features_become_a_flat_image() -> None:
    """A free kernel gives each pixel of a 2x2 block another value; a smooth one does not, away from the edges."""

    @torch.no_grad()
    def spread_inside(layer: nn.Module) -> float:
        out: Tensor = layer(torch.ones(1, 8, 8, 8))[..., 2:-2, 2:-2]
        return float(out.std(dim=(2, 3)).max())

    torch.manual_seed(0)
    assert spread_inside(SmoothUp(8, 3)) < 1e-6
    assert spread_inside(nn.ConvTranspose2d(8, 3, 4, stride=2, padding=1)) > 0.01


@pytest.mark.parametrize("spectral_norm", ["none", "both"])
def test_a_folded_generator_has_ordinary_layers_alone(spectral_norm: str) -> None:
    torch.manual_seed(0)
    generator = Generator(SMALL.replace(spectral_norm=spectral_norm)).eval()
    generator.settle_spectral_norms()
    folded, z = fold(generator), torch.randn(5, 6)
    assert not any(isinstance(module, SmoothUp) for module in folded.modules())
    assert sum(type(module) is nn.ConvTranspose2d for module in folded.modules()) == 2
    torch.testing.assert_close(folded(z, None), generator(z), rtol=0, atol=1e-6)
    assert any(isinstance(module, SmoothUp) for module in generator.modules())
