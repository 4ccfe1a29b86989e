"""Fréchet distance, kernel distance and classifier score of network outputs: the formulas alone, in float64.

Of the outputs of the TensorFlow-ported Inception these are FID (Heusel et al. 2017), KID (Bińkowski et al. 2018)
and the Inception Score (Salimans et al. 2016). The formulas take any network's, so they do not have those names.

Shapes: N images, F features, K classes.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

SUBSETS, SUBSET_SIZE = 100, 1000  # of the kernel distance, as usual
_BLOCK = 1024  # images whose scatter is added at once: small batches would be bound by the memory of the sum
SPLITS = 10  # of the Inception Score, as usual


@dataclass(frozen=True)
class Gaussian:
    """Mean and covariance of a set of features, which is all that the Fréchet distance depends on."""

    mean: Tensor  # (F,)
    covariance: Tensor  # (F, F), divided by N - 1


class Moments:
    """Mean and covariance of features that come in batches, in constant memory.

    Deviations are taken from the running mean (Chan et al. 1983): sums of raw squares would cancel.
    """

    def __init__(self) -> None:
        self.count = 0  # of those that are in the mean and the scatter
        self._mean = self._scatter = torch.zeros(0, dtype=torch.float64)
        self._waiting: list[Tensor] = []

    def add(self, features: Tensor) -> None:
        """Takes in ``features`` (N, F) of any float type."""
        self._waiting.append(features)
        if sum(map(len, self._waiting)) >= _BLOCK:
            self._merge()

    def _merge(self) -> None:
        batch = torch.cat(self._waiting).double()
        self._waiting = []
        if not self.count:
            self._mean = batch.new_zeros(batch.shape[1])
            self._scatter = batch.new_zeros(batch.shape[1], batch.shape[1])
        mean = batch.mean(0)
        centred, shift = batch - mean, mean - self._mean
        before, self.count = self.count, self.count + len(batch)
        self._scatter += centred.T @ centred + torch.outer(shift, shift) * (before * len(batch) / self.count)
        self._mean = self._mean + shift * (len(batch) / self.count)

    def gaussian(self) -> Gaussian:
        """Of all that was added.

        Raises:
            ValueError: fewer than two images have no covariance.
        """
        if self._waiting:
            self._merge()
        if self.count < 2:
            raise ValueError(f"{self.count} images have no covariance")
        return Gaussian(self._mean.cpu(), (self._scatter / (self.count - 1)).cpu())


def frechet_distance(a: Gaussian, b: Gaussian) -> float:
    """‖μ_a - μ_b‖² + Tr(Σ_a + Σ_b - 2 (Σ_a Σ_b)^½), not below zero.

    Tr (Σ_a Σ_b)^½ is taken as Tr (Rᵀ Σ_b R)^½ with Σ_a = R Rᵀ: the same eigenvalues but for zeros, and of a
    symmetric matrix, so they stay real where covariances are singular.
    """
    values, vectors = torch.linalg.eigh(a.covariance)
    some = values > values[-1] * len(values) * torch.finfo(values.dtype).eps  # the others are rounding
    root = vectors[:, some] * values[some].sqrt()  # R, (F, rank)
    product = root.T @ b.covariance @ root
    overlap = torch.linalg.eigvalsh((product + product.T) / 2).clamp_min(0).sqrt().sum()
    means = (a.mean - b.mean).square().sum()
    return max(0.0, float(means + a.covariance.trace() + b.covariance.trace() - 2 * overlap))


def kernel_distance(real: Tensor, fake: Tensor, *, seed: int = 0) -> tuple[float, float | None]:
    """Squared maximum mean discrepancy under the kernel (xᵀy/F + 1)³: mean and deviation over random subsets.

    Bińkowski et al. 2018, section 4 and equation 4: unbiased, so it is around zero, and may be below it, for two
    sets of one distribution, at any number of images.

    Args:
        real: (N, F).
        fake: (M, F).
        seed: of the subsets: 100 of 1,000 images of each side, or of as many as the smaller side has. Where one
            subset is all there is, there is no deviation.
    """
    size = min(SUBSET_SIZE, len(real), len(fake))
    dice = np.random.RandomState(seed)  # draws as torch-fidelity does: equal subsets give equal figures
    distances = []
    whole = size == len(real) == len(fake)
    for _ in range(1 if whole else SUBSETS):
        x, y = (side[torch.from_numpy(dice.choice(len(side), size, replace=False))].double() for side in (real, fake))
        within = sum(_off_diagonal(_kernel(side, side)) for side in (x, y))
        distances.append(float(within - 2 * _kernel(x, y).mean()))
    return float(np.mean(distances)), None if whole else float(np.std(distances))


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    base = x @ y.T / x.shape[1] + 1
    return base * base * base


def _off_diagonal(square: Tensor) -> Tensor:
    """The mean of ``square`` (N, N) without its diagonal."""
    count = len(square)
    return (square.sum() - square.trace()) / (count * (count - 1))


class ClassifierScore:
    """exp E_x KL(p(y|x) ‖ p(y)) of logits that come in batches: mean and deviation over ten splits.

    Split i holds images ⌊iN/10⌋ … ⌊(i+1)N/10⌋ - 1 in the order they come in, so give them in no order of theirs.

    Args:
        count: N, all that will come.
    """

    def __init__(self, count: int):
        splits = min(SPLITS, count)
        self._ends = [(i + 1) * count // splits for i in range(splits)]
        self._sizes = np.diff([0, *self._ends])
        self._seen = 0
        self._marginal: list[Tensor | None] = [None] * splits  # Σ p(y|x), (K,)
        self._information = [0.0] * splits  # Σ Σ_y p(y|x) log p(y|x)

    def add(self, logits: Tensor) -> None:
        """Takes in ``logits`` (N, K)."""
        while len(logits):
            split = next(i for i, end in enumerate(self._ends) if self._seen < end)
            part, logits = logits.split([n := min(len(logits), self._ends[split] - self._seen), len(logits) - n])
            log_p = part.double().log_softmax(1)
            p = log_p.exp()
            before = self._marginal[split]
            self._marginal[split] = p.sum(0) if before is None else before + p.sum(0)
            self._information[split] += float((p * log_p).sum())
            self._seen += n

    def result(self) -> tuple[float, float]:
        """Mean and deviation.

        Raises:
            ValueError: not all N have come.
        """
        scores = []
        for total, information, size in zip(self._marginal, self._information, self._sizes, strict=True):
            if total is None or self._seen < self._ends[-1]:
                raise ValueError(f"{self._seen} of {self._ends[-1]} images have come")
            marginal = total / size
            scores.append(np.exp(information / size - float(torch.xlogy(marginal, marginal).sum())))
        return float(np.mean(scores)), float(np.std(scores))
