"""BatchNorm whose batch may be computed in lanes: every lane normalises its rows by the statistics of all.

Shapes: N rows of a lane, C channels; (N, C) or (N, C, H, W). All lanes have equally many rows.
"""

from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from wgan.training.networks.precision import widened


class Lanes(Protocol):
    """What a norm needs of the lanes that it is computed in."""

    count: int

    @property
    def first(self) -> bool:
        """Whether this is the lane that keeps the statistics of all."""

    def gather(self, value: Tensor) -> list[Tensor]:
        """The value of every lane, in their order."""


class InLanes(nn.modules.batchnorm._BatchNorm):
    """Adds lanes to a BatchNorm; without them it is torch's own."""

    lanes: Lanes | None = None

    def forward(self, x: Tensor) -> Tensor:
        """The rows of this lane, or the whole batch."""
        if self.lanes is None or not self.training:
            return super().forward(x)
        normalised, mean, variance, count = _Normalise.apply(x, self.weight, self.bias, self.eps, self.lanes)
        if self.lanes.first:
            self._remember(mean, variance * (count / (count - 1)))
        result: Tensor = normalised
        return result

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)


class BatchNorm1d(InLanes, nn.BatchNorm1d):
    """Over features (N, C)."""


class BatchNorm2d(InLanes, nn.BatchNorm2d):
    """Over features (N, C, H, W)."""


class _Normalise(torch.autograd.Function):
    """y = (x - μ) / √(σ² + ε) · w + b, with μ and σ² (C,) over the rows of all lanes (Ioffe and Szegedy 2015)."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, lanes: Lanes
    ) -> tuple[Tensor, Tensor, Tensor, int]:
        own = torch.stack(torch.var_mean(widened(x), [i for i in range(x.dim()) if i != 1], correction=0))
        variances, means = torch.stack(lanes.gather(own), dim=1)  # (lanes, C) each
        mean = means.mean(0)
        variance = (variances + (means - mean).square()).mean(0)
        count = len(means) * (x.numel() // x.shape[1])
        ctx.save_for_backward(x, weight, mean, variance)
        ctx.eps, ctx.lanes, ctx.count = eps, lanes, count
        ctx.mark_non_differentiable(mean, variance)
        y = F.batch_norm(x, mean, variance, weight, bias, training=False, eps=eps)
        return y, mean, variance, count

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor, *_: Any) -> tuple[Tensor, Tensor | None, Tensor | None, None, None]:
        x, weight, mean, variance = ctx.saved_tensors
        # μ and σ² held fixed: slope · w / √(σ² + ε), Σ slope · x̂ and Σ slope of this lane
        grad, along, total = torch.ops.aten.native_batch_norm_backward(
            slope.contiguous(), x, weight, mean, variance, None, None, False, ctx.eps, [True, True, True]
        )
        pairs = ctx.lanes.gather(torch.stack([along, total]))
        mean_along, mean_slope = torch.stack(pairs).sum(0) / ctx.count
        inverse = (variance + ctx.eps).rsqrt()
        scale = inverse if weight is None else inverse * weight
        # less what comes by way of μ and σ²: scale · (mean(slope) + x̂ · mean(slope · x̂)), as one line in x
        by_x = scale * inverse * mean_along
        shape = (1, -1) + (1,) * (x.dim() - 2)
        grad = grad.addcmul_(x, by_x.view(shape).to(x.dtype), value=-1)
        grad = grad.sub_((scale * mean_slope - by_x * mean).view(shape))
        return grad, None if weight is None else along, None if weight is None else total, None, None
