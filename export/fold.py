"""The generator as it is deployed: BatchNorm folded into the layer before it."""

import copy
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval


def fold_batchnorm(generator: nn.Module) -> nn.Module:
    """A copy in eval mode without BatchNorm layers; the same function up to rounding."""
    folded = copy.deepcopy(generator).cpu().float().eval().requires_grad_(False)
    for module in list(folded.modules()):
        if isinstance(module, nn.Sequential):
            _fold_sequence(module)
    return folded


def _fold_sequence(sequence: nn.Sequential) -> None:
    names = list(sequence._modules)
    for name, following in pairwise(names):
        layer, norm = sequence._modules[name], sequence._modules[following]
        fused: nn.Module
        if isinstance(layer, nn.Linear) and isinstance(norm, nn.BatchNorm1d):
            fused = fuse_linear_bn_eval(layer, norm)
        elif isinstance(layer, nn.ConvTranspose2d) and isinstance(norm, nn.BatchNorm2d):
            fused = fuse_conv_bn_eval(layer, norm, transpose=True)
        else:
            continue
        sequence._modules[name] = fused.requires_grad_(False)
        sequence._modules[following] = nn.Identity()
    for name in names:
        if isinstance(sequence._modules[name], nn.Identity):
            del sequence._modules[name]


class Half(nn.Module):
    """Computes in float16 between a float32 input and a float32 output."""

    def __init__(self, folded: nn.Module):
        super().__init__()
        self.inner = copy.deepcopy(folded).half()

    def forward(self, z: Tensor) -> Tensor:
        """z float32 (N, Z) → image float32 (N, C, H, W)."""
        image: Tensor = self.inner(z.to(torch.float16))
        return image.to(torch.float32)


def at_precision(folded: nn.Module, precision: str) -> nn.Module:
    """The folded generator computing in ``precision``, float32 at both ends."""
    return Half(folded).eval() if precision == "fp16" else folded
