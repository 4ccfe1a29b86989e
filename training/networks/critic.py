"""The critic D: strided convolutions down to one score (Radford et al. 2016), with optional extensions."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wgan.training.config import Config
from wgan.training.networks.layers import (
    Layer,
    MinibatchDeviation,
    MinibatchDiscrimination,
    Network,
    SelfAttention,
    halved,
    initialise,
    refined,
    start_quiet,
)
from wgan.training.networks.recompute import Recompute
from wgan.training.networks.sizes import FIRST, resolutions, widths
from wgan.training.networks.stage import LiveStage, Stage, faded

SLOPE = 0.2


class Critic(Network):
    """image (N, C, H, W), and label int64 (N,) if there are classes → score (N,), any real number.

    The layer norm is the original's: over C, H and W of each sample, with a scale and a shift a
    channel. That is GroupNorm with one group. BatchNorm would tie samples together, and the
    penalty is on each sample's own gradient (Gulrajani et al. 2017, section 4). Minibatch statistics do
    tie the images of a group together: there the gradient of an image is that of its whole group's scores.
    """

    def __init__(self, config: Config, classes: int = 0):
        super().__init__()
        sizes = widths(config.image_size, config.base_channels)  # by feature resolution, from 4
        last = sizes[FIRST]
        self.size = config.image_size
        mapped = classes > 0 and config.critic_labels == "map"
        self.map = nn.Embedding(classes, config.image_size**2) if mapped else None

        self.heads, self.refine, self.down = nn.ModuleDict(), nn.ModuleDict(), nn.ModuleDict()
        for size in reversed(resolutions(config)):
            inputs = config.channels + (1 if mapped else 0)
            head = nn.Conv2d(inputs, sizes[size // 2], kernel_size=4, stride=2, padding=1)
            self.heads[str(size)] = nn.Sequential(head, nn.LeakyReLU(SLOPE))
        for size, width in reversed(sizes.items()):
            if 2 * size in sizes:
                self.down[str(size)] = _normed(nn.Conv2d(sizes[2 * size], width, kernel_size=4, stride=2, padding=1))
            more: list[nn.Module] = [
                _normed(nn.Conv2d(width, width, kernel_size=3, padding=1)) for _ in range(config.depth - 1)
            ]
            more += [SelfAttention(width, size)] if size == config.attention else []
            self.refine[str(size)] = nn.ModuleList(more)
            start_quiet(more)

        self.deviation: nn.Module = nn.Identity()
        if config.minibatch == "stddev":
            mix = nn.Conv2d(last + 1, last, kernel_size=3, padding=1)
            self.deviation = nn.Sequential(MinibatchDeviation(config.minibatch_group), mix, nn.LeakyReLU(SLOPE))
        # a mean over the image is blind to its layout: the critic then sees that there are eyes, not where
        flat = config.critic_head == "flatten"
        self.pool = nn.Flatten() if flat else nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.discrimination: nn.Module = nn.Identity()
        features = seen = last * (FIRST * FIRST if flat else 1)
        if config.minibatch == "discrimination":
            self.discrimination = MinibatchDiscrimination(seen, config.minibatch_group)
            features += MinibatchDiscrimination.kernels
        self.score = nn.Linear(features, 1)
        projected = classes > 0 and config.critic_labels == "projection"
        self.projection = nn.Embedding(classes, seen) if projected else None
        self.apply(initialise)
        if config.spectral_norm != "none":
            self.normalise_spectrally()
        self.stage: Stage | LiveStage = Stage(config.image_size)
        self.recompute = Recompute(config.activation_checkpointing)

    def forward(self, image: Tensor, label: Tensor | None = None) -> Tensor:
        """Scores for images of the stage's resolution."""
        size = self.stage.resolution // 2  # of the features
        x: Tensor = self.recompute(self._entered, image, label)  # (N, base, H/2, W/2)
        older = self._seen(halved(image), label) if self.stage.fading else None
        while size > FIRST:
            size //= 2
            x = self.recompute(self._shrunk, size, x, older)
            older = None
        x = self.pool(self.deviation(x))  # (N, 8·base), or 16 times as many if the layout is kept
        score: Tensor = self.score(self.discrimination(x)).squeeze(1)
        if self.projection is not None:
            # Miyato and Koyama 2018, equation 3: ⟨embedding of the label, features⟩ joins the score
            score = score + (self.projection(label) * x).sum(dim=1)
        return score

    def _entered(self, image: Tensor, label: Tensor | None) -> Tensor:
        return refined(self.refine[str(image.shape[2] // 2)], self._seen(image, label))

    def _seen(self, image: Tensor, label: Tensor | None) -> Tensor:
        if self.map is not None:
            plane = self.map(label).reshape(-1, 1, self.size, self.size)
            if image.shape[2] < self.size:
                plane = F.adaptive_avg_pool2d(plane, image.shape[2])
            image = torch.cat([image, plane.to(image.dtype)], dim=1)
        x: Tensor = self.heads[str(image.shape[2])](image)
        return x

    def _shrunk(self, size: int, x: Tensor, older: Tensor | None) -> Tensor:
        x = self.down[str(size)](x)
        if older is not None:
            x = faded(older, x, self.stage)
        return refined(self.refine[str(size)], x)


def _normed(change: nn.Conv2d) -> Layer:
    return Layer(change, nn.GroupNorm(1, change.out_channels), nn.LeakyReLU(SLOPE))
