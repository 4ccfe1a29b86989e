"""Convolutions that double without a chequered pattern, at the cost of those that have one.

A free 4x4 kernel with stride 2 gives every pixel of a 2x2 block other weights, and early in training that shows
(Odena et al. 2016, "Deconvolution and Checkerboard Artifacts"). Enlarging by nearest neighbours and then convolving
with 3x3 does not. Both in one is a transposed convolution again, whose 4x4 kernel is the 3x3 one seen through a 2x2
box, as in the code of Karras et al. 2018: that is what is trained here, and what is deployed is an ordinary layer.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def boxed(kernel: Tensor) -> Tensor:
    """(…, 3, 3) → (…, 4, 4): the kernel convolved with a 2x2 box of ones."""
    edges = ((0, 1, 0, 1), (1, 0, 0, 1), (0, 1, 1, 0), (1, 0, 1, 0))
    return torch.stack([F.pad(kernel, edge) for edge in edges]).sum(0)


class SmoothUp(nn.ConvTranspose2d):
    """(N, C, H, W) → (N, C', 2H, 2W): nearest neighbours, then a 3x3 convolution, in one."""

    def __init__(self, inputs: int, outputs: int, bias: bool = True):
        super().__init__(inputs, outputs, kernel_size=3, stride=2, padding=1, bias=bias)

    def forward(self, x: Tensor, output_size: Any = None) -> Tensor:
        """Twice as large."""
        return F.conv_transpose2d(x, boxed(self.weight), self.bias, stride=2, padding=1)

    def settled(self) -> nn.ConvTranspose2d:
        """The ordinary layer that computes the same."""
        bias = self.bias is not None
        layer = nn.ConvTranspose2d(self.in_channels, self.out_channels, 4, stride=2, padding=1, bias=bias)
        with torch.no_grad():
            layer.weight.copy_(boxed(self.weight))
            if layer.bias is not None and self.bias is not None:
                layer.bias.copy_(self.bias)
        return layer.train(self.training).requires_grad_(self.weight.requires_grad)


def settle_smooth(network: nn.Module) -> None:
    """Replaces every `SmoothUp` in a network by the ordinary layer."""
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, SmoothUp):
                setattr(module, name, child.settled())
