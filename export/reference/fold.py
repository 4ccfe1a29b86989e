"""The generator as it is deployed: BatchNorm folded into the layer before it."""

import copy

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from wgan.serve.base.errors import ConfigError
from wgan.training.networks.layers import ConditionalBatchNorm, Layer
from wgan.training.networks.precision import DTYPES
from wgan.training.networks.resample import settle_smooth


def fold(generator: nn.Module) -> nn.Module:
    """A copy in eval mode without BatchNorm and of ordinary layers; the same function up to rounding.

    Of a conditional BatchNorm the label's scale and shift stay.
    """
    return folded(copy.deepcopy(generator).cpu().float())


def folded(generator: nn.Module) -> nn.Module:
    """`fold` in place, on whatever device: on torch's `meta` it makes the names and shapes alone."""
    generator.eval().requires_grad_(False)
    settle_smooth(generator)
    for module in list(generator.modules()):
        if isinstance(module, Layer):
            _fold_layer(module)
    return generator.requires_grad_(False)


def _fold_layer(layer: Layer) -> None:
    if isinstance(layer.norm, ConditionalBatchNorm):
        layer.change = _fused(layer.change, layer.norm.norm)
        layer.norm.norm = nn.Identity()
    else:
        layer.change = _fused(layer.change, layer.norm)
        layer.norm = nn.Identity()


def _fused(change: nn.Module, norm: nn.Module) -> nn.Module:
    if isinstance(change, nn.Linear) and isinstance(norm, nn.BatchNorm1d):
        # without a scale of its own, which the function needs
        norm.weight = norm.weight if norm.affine else nn.Parameter(torch.ones(norm.num_features))
        norm.bias = norm.bias if norm.affine else nn.Parameter(torch.zeros(norm.num_features))
        return fuse_linear_bn_eval(change, norm)
    assert isinstance(change, nn.Conv2d | nn.ConvTranspose2d)
    assert isinstance(norm, nn.BatchNorm2d)
    return fuse_conv_bn_eval(change, norm, transpose=isinstance(change, nn.ConvTranspose2d))


class Reduced(nn.Module):
    """Computes in float16 or bfloat16 between a float32 input and a float32 output."""

    def __init__(self, folded: nn.Module, dtype: torch.dtype):
        super().__init__()
        self.inner = copy.deepcopy(folded).to(dtype)
        self.dtype = dtype

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """z float32 (N, Z), label int64 (N,) → image float32 (N, C, H, W)."""
        image: Tensor = self.inner(z.to(self.dtype), label)
        return image.to(torch.float32)


class EightBit(nn.Module):
    """The image as pixels: what `wgan.serve.outputs.pixels.to_uint8` makes of it, inside the graph."""

    def __init__(self, inner: nn.Module):
        super().__init__()
        self.inner = inner

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """z float32 (N, Z), label int64 (N,) → image uint8 (N, H, W, C); a half goes to the even level."""
        image: Tensor = ((self.inner(z, label) + 1) * 127.5).round().clamp(0, 255)
        # transposed first: TensorRT has no layer that takes uint8
        return image.permute(0, 2, 3, 1).to(torch.uint8)


def check_precision(precision: str) -> None:
    """Refuses an unknown precision.

    Raises:
        ConfigError: it is neither fp32 nor one of `DTYPES`.
    """
    if precision not in ("fp32", *DTYPES):
        raise ConfigError(f"--precision {precision} is not one of fp32, {', '.join(DTYPES)}, auto")


def as_deployed(generator: nn.Module, precision: str, output: str = "float32") -> nn.Module:
    """The folded generator computing in ``precision``, float32 or 8-bit pixels coming out of it."""
    module = fold(generator)
    if precision in DTYPES:
        module = Reduced(module, DTYPES[precision])
    return (EightBit(module) if output == "uint8" else module).eval()
