"""The inputs of a step: tensors with a row for each image, and how they are cut into parts."""

from typing import NamedTuple, Protocol, TypeVar

from torch import Tensor

Batch = TypeVar("Batch", bound=tuple[Tensor | None, ...])  # named tuples of tensors with the same rows (N, ...)


class Reals(Protocol):
    """Where real images come from: a `BatchStream`."""

    def next(self) -> tuple[Tensor, Tensor | None]:
        """uint8 (N, H, W, C), and labels int64 (N,) if there are any, on the device."""


class CriticBatch(NamedTuple):
    """What a critic step is made of: x (N, C, H, W), z (N, Z), ε (N,) if it has a penalty, labels (N,) if any."""

    real: Tensor
    z: Tensor
    epsilon: Tensor | None
    label: Tensor | None


class ScoredBatch(NamedTuple):
    """The same with x̃ = G(z) in place of z."""

    real: Tensor
    fake: Tensor
    epsilon: Tensor | None
    label: Tensor | None


class GeneratorBatch(NamedTuple):
    """What a generator step is made of: z (N, Z), and labels (N,) if any."""

    z: Tensor
    label: Tensor | None


def cut(batch: Batch, count: int) -> list[Batch]:
    """A batch in ``count`` parts: the same rows of each of its tensors; None stays None."""
    columns = ([None] * count if tensor is None else tensor.chunk(count) for tensor in batch)
    return [type(batch)(*part) for part in zip(*columns, strict=True)]
