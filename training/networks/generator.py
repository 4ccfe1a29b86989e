"""The generator G: transposed convolutions up to an image (Radford et al. 2016), with optional extensions."""

import torch
from torch import Tensor, nn

from wgan.training.config import Config
from wgan.training.networks.layers import (
    Layer,
    Network,
    SelfAttention,
    batch_norm,
    doubled,
    initialise,
    refined,
    start_quiet,
)
from wgan.training.networks.norm import BatchNorm1d, BatchNorm2d
from wgan.training.networks.recompute import Recompute
from wgan.training.networks.resample import SmoothUp
from wgan.training.networks.sizes import FIRST, resolutions, widths
from wgan.training.networks.stage import LiveStage, Stage, faded


class Generator(Network):
    """z (N, Z), and label int64 (N,) if there are classes → image (N, C, H, W) in [-1, 1].

    Features of 4x4 are doubled up to half the image; a head makes the image of them. While a network grows,
    every resolution has its head, and ``stage`` tells which one speaks.
    """

    def __init__(self, config: Config, classes: int = 0):
        super().__init__()
        sizes = widths(config.image_size, config.base_channels)  # by feature resolution, from 4
        first = sizes[FIRST]
        self.first = first
        joined = classes > 0 and config.generator_labels == "join"
        normed = classes if config.generator_labels == "batchnorm" else 0
        self.embedding = nn.Embedding(classes, config.label_dim) if joined else None
        inputs = config.latent_dim + (config.label_dim if joined else 0)

        # a bias in front of a BatchNorm would be subtracted again
        self.project = Layer(
            nn.Linear(inputs, first * FIRST * FIRST, bias=False),
            batch_norm(BatchNorm1d, first * FIRST * FIRST, normed),
            nn.ReLU(inplace=True),
        )
        self.up, self.refine, self.heads = nn.ModuleDict(), nn.ModuleDict(), nn.ModuleDict()
        for size, width in sizes.items():
            if size > FIRST:
                change = doubling(config, sizes[size // 2], width, bias=False)
                norm = batch_norm(BatchNorm2d, width, normed)
                self.up[str(size)] = Layer(change, norm, nn.ReLU(inplace=True))
            more: list[nn.Module] = [
                Layer(
                    nn.Conv2d(width, width, kernel_size=3, padding=1, bias=False),
                    batch_norm(BatchNorm2d, width, normed),
                    nn.ReLU(inplace=True),
                )
                for _ in range(config.depth - 1)
            ]
            more += [SelfAttention(width, size)] if size == config.attention else []
            self.refine[str(size)] = nn.ModuleList(more)
            start_quiet(more)
        for size in resolutions(config):
            head = doubling(config, sizes[size // 2], config.channels)
            self.heads[str(size)] = nn.Sequential(head, nn.Tanh())
        self.apply(initialise)
        if config.spectral_norm == "both":
            self.normalise_spectrally()
        self.stage: Stage | LiveStage = Stage(config.image_size)
        self.recompute = Recompute(config.activation_checkpointing)

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Images for latents."""
        if self.embedding is not None:
            # (N, L) as it is; OpenCV 4, whose arrays have two axes at least, has made it (N, 1, L) of labels (N, 1)
            z = torch.cat([z, self.embedding(label).flatten(1)], dim=1)
        x: Tensor = self.project(z, label)  # (N, 8·base·4·4)
        # not nn.Unflatten, which ONNX opset 11 cannot say
        x = x.reshape(-1, self.first, FIRST, FIRST)  # (N, 8·base, 4, 4)
        x = self._refined(FIRST, x, label)
        size, before = FIRST, x
        while 2 * size < self.stage.resolution:
            before, size = x, 2 * size
            x = self.recompute(self._grown, size, x, label)
        image: Tensor = self.heads[str(2 * size)](x)  # (N, C, H, W)
        if self.stage.fading:
            image = faded(doubled(self.heads[str(size)](before)), image, self.stage)
        return image

    def _grown(self, size: int, x: Tensor, label: Tensor | None) -> Tensor:
        return self._refined(size, self.up[str(size)](x, label), label)

    def _refined(self, size: int, x: Tensor, label: Tensor | None) -> Tensor:
        return refined(self.refine[str(size)], x, label)


def doubling(config: Config, inputs: int, outputs: int, bias: bool = True) -> nn.ConvTranspose2d:
    """The layer (N, inputs, H, W) → (N, outputs, 2H, 2W) that the configuration asks for."""
    if config.upsampling == "smooth":
        return SmoothUp(inputs, outputs, bias=bias)
    return nn.ConvTranspose2d(inputs, outputs, kernel_size=4, stride=2, padding=1, bias=bias)


@torch.no_grad()
def calibrate(generator: Generator, batches: list[tuple[Tensor, Tensor | None]]) -> None:
    """Measures BatchNorm's statistics anew for the weights as they are, over ``batches`` of latents and labels.

    Averaged weights never ran a training batch, so the live generator's statistics are not theirs
    (Wu and Johnson 2021, "Rethinking 'Batch' in BatchNorm", section 3).
    """
    norms = [m for m in generator.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average over the batches
    generator.train()
    for z, label in batches:
        generator(z, label)
    generator.eval()
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
