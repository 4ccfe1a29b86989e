"""Generator and critic of the seed document, section 2: DCGAN-shaped, critic normalised for WGAN-GP.

Shapes: N batch, Z latent, C H W image.
"""

import torch
from torch import Tensor, nn

FIRST = 4  # both networks meet the image at 4x4
WIDEST = 8  # times base_channels, the document's 512 at 64


def widths(image_size: int, base_channels: int) -> list[int]:
    """Channels at 4x4, 8x8, ... up to half the image: 512 256 128 64 for the document's 64 px."""
    levels = (image_size // FIRST).bit_length() - 1
    return [base_channels * min(2**level, WIDEST) for level in reversed(range(levels))]


def initialise(module: nn.Module) -> None:
    """Weights from N(0, 0.02), biases zero (section 3.3); normalisations keep scale 1, shift 0."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


class Generator(nn.Module):
    """z (N, Z) → image (N, C, H, W) in [-1, 1]. Section 2.1."""

    def __init__(self, image_size: int = 64, latent_dim: int = 128, base_channels: int = 64, channels: int = 3):
        super().__init__()
        first, *others = widths(image_size, base_channels)
        self.first = first
        # a bias in front of a BatchNorm would be subtracted again
        self.project = nn.Sequential(
            nn.Linear(latent_dim, first * FIRST * FIRST, bias=False),
            nn.BatchNorm1d(first * FIRST * FIRST),
            nn.ReLU(inplace=True),
        )
        layers: list[nn.Module] = []
        width = first
        for narrower in others:
            layers += [
                nn.ConvTranspose2d(width, narrower, kernel_size=4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(narrower),
                nn.ReLU(inplace=True),
            ]
            width = narrower
        layers += [nn.ConvTranspose2d(width, channels, kernel_size=4, stride=2, padding=1), nn.Tanh()]
        self.upsample = nn.Sequential(*layers)
        self.apply(initialise)

    def forward(self, z: Tensor) -> Tensor:
        """Images for latents."""
        x: Tensor = self.project(z)  # (N, 8·base·4·4)
        # not nn.Unflatten, which ONNX opset 11 cannot say
        x = x.reshape(-1, self.first, FIRST, FIRST)  # (N, 8·base, 4, 4)
        x = self.upsample(x)  # (N, C, H, W)
        return x


class Critic(nn.Module):
    """image (N, C, H, W) → score (N,), any real number. Section 2.2.

    The layer norm is the original's: over C, H and W of each sample, with a scale and a shift a
    channel. That is GroupNorm with one group. BatchNorm would tie samples together, and the
    penalty is on each sample's own gradient (Gulrajani et al. 2017, section 4).
    """

    def __init__(self, image_size: int = 64, base_channels: int = 64, channels: int = 3):
        super().__init__()
        first, *others = reversed(widths(image_size, base_channels))
        layers: list[nn.Module] = [
            nn.Conv2d(channels, first, kernel_size=4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
        ]
        width = first
        for wider in others:
            layers += [
                nn.Conv2d(width, wider, kernel_size=4, stride=2, padding=1),
                nn.GroupNorm(1, wider),
                nn.LeakyReLU(0.2),
            ]
            width = wider
        self.downsample = nn.Sequential(*layers)
        self.score = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 1))
        self.apply(initialise)

    def forward(self, image: Tensor) -> Tensor:
        """Scores for images."""
        x: Tensor = self.downsample(image)  # (N, 8·base, 4, 4)
        x = self.score(x)  # (N, 1)
        return x.squeeze(1)


def parameter_count(module: nn.Module) -> int:
    """Trainable numbers in a network."""
    return sum(p.numel() for p in module.parameters())


@torch.no_grad()
def calibrate(generator: nn.Module, batches: list[Tensor]) -> None:
    """Measures BatchNorm's statistics anew for the weights as they are, over ``batches`` of latents.

    Averaged weights never ran a training batch, so the live generator's statistics are not theirs
    (Wu and Johnson 2021, "Rethinking 'Batch' in BatchNorm", section 3).
    """
    norms = [m for m in generator.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average over the batches
    generator.train()
    for z in batches:
        generator(z)
    generator.eval()
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
