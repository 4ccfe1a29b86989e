"""What both networks are built from: layers with a norm, attention, spectral normalisation, batch statistics.

Shapes: N batch, C H W features, G images that are looked at together.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import _SpectralNorm, spectral_norm

from wgan.training.networks.norm import BatchNorm1d, BatchNorm2d, InLanes, Lanes
from wgan.training.networks.precision import widened

QUIET = 0.1  # scale that a further layer's norm starts with
Weighted = nn.Conv2d | nn.ConvTranspose2d | nn.Linear


def initialise(module: nn.Module) -> None:
    """Weights from N(0, 0.02), biases zero (Radford et al. 2016, section 4); normalisations keep scale 1, shift 0."""
    if isinstance(module, Weighted):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


class Layer(nn.Module):
    """A convolution or matrix product, its norm, its activation."""

    def __init__(self, change: nn.Module, norm: nn.Module, activation: nn.Module):
        super().__init__()
        self.change, self.norm, self.activation = change, norm, activation

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """``label`` int64 (N,) reaches a conditional norm; others do without."""
        x = self.change(x)
        x = self.norm(x, label) if isinstance(self.norm, ConditionalBatchNorm) else self.norm(x)
        x = self.activation(x)
        return x


class ConditionalBatchNorm(nn.Module):
    """BatchNorm whose scale and shift belong to the label (Dumoulin et al. 2017, equation 5)."""

    def __init__(self, norm: nn.Module, width: int, classes: int):
        super().__init__()
        self.norm = norm  # without a scale and shift of its own
        self.width = width
        self.scale, self.shift = nn.Embedding(classes, width), nn.Embedding(classes, width)
        nn.init.ones_(self.scale.weight)
        nn.init.zeros_(self.shift.weight)

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        """x (N, C) or (N, C, H, W), label int64 (N,)."""
        x = self.norm(x)
        shape = (-1, self.width) + (1,) * (x.dim() - 2)  # only N is asked of the batch: an exported graph has the rest
        x = x * self.scale(label).reshape(shape) + self.shift(label).reshape(shape)
        return x


def batch_norm(kind: type[BatchNorm1d] | type[BatchNorm2d], width: int, classes: int) -> nn.Module:
    """BatchNorm over ``width`` channels, conditional where there are classes."""
    return ConditionalBatchNorm(kind(width, affine=False), width, classes) if classes else kind(width)


class SelfAttention(nn.Module):
    """x + γ·v(h(x)·softmax(f(x)ᵀg(x))), γ from 0 (SAGAN: Zhang et al. 2019, equations 1 to 3).

    Args:
        width: C.
        size: H and W; given, as `x.shape` would become a part of an exported graph.
    """

    def __init__(self, width: int, size: int):
        super().__init__()
        inner = max(1, width // 8)
        self.flat, self.square = (-1, inner, size * size), (-1, inner, size, size)
        self.key, self.query, self.value = (nn.Conv2d(width, inner, 1, bias=False) for _ in range(3))
        self.out = nn.Conv2d(inner, width, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """(N, C, H, W) to the same; the label is not looked at."""
        key, query, value = (f(x).reshape(self.flat) for f in (self.key, self.query, self.value))  # (N, C/8, H·W)
        # written out: torch's fused attention has no second derivative, which the penalty needs
        weights = torch.softmax(query.transpose(1, 2) @ key, dim=-1)  # (N, H·W to, H·W from)
        seen = value @ weights.transpose(1, 2)  # (N, C/8, H·W)
        attended: Tensor = self.out(seen.reshape(self.square))
        return x + self.gamma * attended


class MinibatchDeviation(nn.Module):
    """Appends the standard deviation over ``group`` images, as one more channel (Karras et al. 2018, section 3).

    Images are grouped as they follow each other, so that a batch in whole groups can be cut anywhere.
    """

    def __init__(self, group: int):
        super().__init__()
        self.group = group

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C+1, H, W), N a multiple of the group."""
        n, _, h, w = x.shape
        # in float32: float16 has no 1e-8, and without it the root's slope is infinite where all are alike
        variance = widened(x).reshape(-1, self.group, *x.shape[1:]).var(dim=1, correction=0)  # (N/G, C, H, W)
        deviation = (variance + 1e-8).sqrt().mean(dim=(1, 2, 3))  # (N/G,)
        plane = deviation.repeat_interleave(self.group).reshape(n, 1, 1, 1).expand(n, 1, h, w)
        return torch.cat([x, plane.to(x.dtype)], dim=1)


class MinibatchDiscrimination(nn.Module):
    """Appends how near the other images of the group are (Salimans et al. 2016, section 3.2).

    o(x_i)_b = Σ_j exp(-‖M_ib - M_jb‖₁) over the others of the group, with M = f(x)·T.
    """

    kernels, kernel_size = 16, 8  # B and C of the paper

    def __init__(self, features: int, group: int):
        super().__init__()
        self.group = group
        self.change = nn.Linear(features, self.kernels * self.kernel_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, F) → (N, F + kernels), N a multiple of the group."""
        m = widened(self.change(x)).reshape(-1, self.group, self.kernels, self.kernel_size)  # (N/G, G, B, C)
        distance = (m[:, :, None] - m[:, None]).abs().sum(-1)  # (N/G, G, G, B)
        nearness = torch.exp(-distance).sum(2) - 1  # each is at distance 0 from itself
        return torch.cat([x, nearness.reshape(len(x), self.kernels).to(x.dtype)], dim=1)


class Network(nn.Module):
    """What generator and critic share: spectral norms that move only when they are told to."""

    def compute_in(self, lanes: Lanes) -> None:
        """Lets the norms of a batch see the rows of all lanes, where there are several."""
        for module in self.modules():
            if isinstance(module, InLanes):
                module.lanes = lanes if lanes.count > 1 else None

    def normalise_spectrally(self) -> None:
        """Divides the weight of each convolution and matrix product by its largest singular value.

        Miyato et al. 2018, equation 8. Embeddings of labels stay as they are: theirs scale and shift too.
        """
        for module in list(self.modules()):
            if isinstance(module, Weighted):
                spectral_norm(module)
        self.train(self.training)

    def train(self, mode: bool = True) -> Any:
        """As torch's, but spectral norms stay as they are.

        Theirs would move at every forward pass: the parts of an accumulated batch, the scores of real and fake
        images and a recomputed activation would each see other weights.
        """
        super().train(mode)
        for norm in self._spectral_norms():
            norm.eval()
        return self

    @torch.no_grad()
    def iterate_spectral_norms(self, times: int = 1) -> None:
        """Brings the estimates of the largest singular values closer to the weights as they are now."""
        for module in self.modules():
            if isinstance(module, Weighted) and parametrize.is_parametrized(module):
                norm: Any = module.parametrizations["weight"][0]  # type: ignore[index]
                norm.train()
                for _ in range(times):
                    module.weight  # noqa: B018 - reading it is an iteration
                norm.eval()

    def settle_spectral_norms(self) -> None:
        """Makes the divided weights the weights. Not for a copy: torch lets it share its class with the original."""
        for module in self.modules():
            if isinstance(module, Weighted) and parametrize.is_parametrized(module):
                parametrize.remove_parametrizations(module, "weight")

    @torch.no_grad()
    def copy_spectral_norms(self, other: "Network") -> None:
        """Takes over another network's estimates."""
        for mine, theirs in zip(self._spectral_norms(), other._spectral_norms(), strict=True):
            for to, value in zip(mine.buffers(), theirs.buffers(), strict=True):
                to.copy_(value)

    def _spectral_norms(self) -> list[nn.Module]:
        return [module for module in self.modules() if isinstance(module, _SpectralNorm)]


def start_quiet(layers: Iterable[nn.Module]) -> None:
    """Lets further convolutions start near nothing, so that a deep network starts as the shallow one.

    Starting at nothing (Goyal et al. 2017, section 5.1) would leave ReLU without a slope.
    """
    for layer in layers:
        if isinstance(layer, Layer):
            norm = layer.norm
            scale = norm.scale.weight if isinstance(norm, ConditionalBatchNorm) else norm.weight
            assert isinstance(scale, Tensor)
            nn.init.constant_(scale, QUIET)


def refined(layers: nn.Module, x: Tensor, label: Tensor | None = None) -> Tensor:
    """The further layers of a resolution: convolutions add to what is there (He et al. 2016), attention does so itself.

    Without the shortcut and the quiet start, networks twice as deep came not half as far in as many images.
    """
    assert isinstance(layers, nn.ModuleList)
    for layer in layers:
        x = x + layer(x, label) if isinstance(layer, Layer) else layer(x)
    return x


def halved(images: Tensor) -> Tensor:
    """(N, C, H, W) → (N, C, H/2, W/2), each pixel the mean of four."""
    return F.avg_pool2d(images, 2)


def doubled(images: Tensor) -> Tensor:
    """(N, C, H, W) → (N, C, 2H, 2W), each pixel four times."""
    return F.interpolate(images, scale_factor=2.0, mode="nearest")
