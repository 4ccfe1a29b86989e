"""Fréchet distance, kernel distance and classifier score: closed forms, definitions, and other people's code."""

import numpy as np
import pytest
import scipy.linalg
import torch
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torchmetrics.image.fid import FrechetInceptionDistance

from wgan.training.measures.feature_formulas import (
    ClassifierScore,
    Gaussian,
    Moments,
    frechet_distance,
    kernel_distance,
)


def normal(seed: int, count: int, width: int, scale: float = 1.0, shift: float = 0.0) -> torch.Tensor:
    dice = torch.Generator().manual_seed(seed)
    mixing = torch.randn(width, width, generator=dice, dtype=torch.float64)
    return scale * torch.randn(count, width, generator=dice, dtype=torch.float64) @ mixing + shift


def gaussian(features: torch.Tensor, batch: int = 37) -> Gaussian:
    moments = Moments()
    for part in features.split(batch):
        moments.add(part)
    return moments.gaussian()


def test_moments_are_numpys_whatever_the_batches_and_however_far_from_zero() -> None:
    features = normal(0, 3000, 6) + 1e5  # several blocks
    for batch in (1, 37, 500, 3000):
        found = gaussian(features, batch)
        assert np.allclose(found.mean, features.numpy().mean(0), rtol=1e-13)
        assert np.allclose(found.covariance, np.cov(features.numpy(), rowvar=False), rtol=1e-8, atol=1e-8)


def test_one_image_has_no_covariance() -> None:
    with pytest.raises(ValueError, match="1 images have no covariance"):
        gaussian(normal(0, 1, 3))


def test_the_distance_of_commuting_gaussians_is_the_closed_form() -> None:
    """For Σ = Q diag(s²) Qᵀ with one Q it is ‖μ_a - μ_b‖² + Σ (s_a - s_b)²."""
    dice = torch.Generator().manual_seed(1)
    q, _ = torch.linalg.qr(torch.randn(9, 9, generator=dice, dtype=torch.float64))
    s, t, mean, other = torch.rand(4, 9, generator=dice, dtype=torch.float64)
    s[:3] = 0  # singular too
    for basis in (torch.eye(9, dtype=torch.float64), q):
        a, b = (Gaussian(m, (basis * w.square()) @ basis.T) for m, w in ((mean, s), (other, t)))
        wanted = float((mean - other).square().sum() + (s - t).square().sum())
        assert frechet_distance(a, b) == pytest.approx(wanted, rel=1e-7)
        assert frechet_distance(b, a) == pytest.approx(wanted, rel=1e-7)
        assert frechet_distance(a, a) == pytest.approx(0, abs=1e-7)


def test_samples_of_two_gaussians_are_as_far_apart_as_the_gaussians() -> None:
    dice = torch.Generator().manual_seed(2)
    a = torch.randn(200_000, 3, generator=dice) * torch.tensor([1.0, 2.0, 3.0])
    b = torch.randn(200_000, 3, generator=dice) * 2 + torch.tensor([1.0, 0.0, 0.0])
    assert frechet_distance(gaussian(a, 5000), gaussian(b, 5000)) == pytest.approx(1 + 1 + 0 + 1, rel=0.02)


def through_torchmetrics(a: torch.Tensor, b: torch.Tensor) -> float:
    class Features(torch.nn.Module):
        num_features = a.shape[1]

        def forward(self, features: torch.Tensor) -> torch.Tensor:
            return features

    metric = FrechetInceptionDistance(feature=Features()).set_dtype(torch.float64)
    metric.update(a, real=True)
    metric.update(b, real=False)
    return float(metric.compute())


@pytest.mark.parametrize("count", [400, 20])  # of 32 features: a whole and a singular covariance
def test_the_distance_is_that_of_three_other_implementations(count: int) -> None:
    a, b = normal(3, count, 32), normal(4, count, 32, scale=0.7, shift=0.3)
    found = frechet_distance(gaussian(a), gaussian(b))
    statistics = [fid_features_to_statistics(side) for side in (a, b)]
    (wanted,) = fid_statistics_to_metric(*statistics, verbose=False).values()
    assert found == pytest.approx(wanted, rel=1e-6)
    assert found == pytest.approx(through_torchmetrics(a, b), rel=1e-6)
    (mean, sigma), (other, tau) = ((s["mu"], s["sigma"]) for s in statistics)
    root = scipy.linalg.sqrtm(sigma @ tau) if count > 32 else scipy.linalg.sqrtm(sigma @ tau + 1e-12 * np.eye(32))
    definition = np.sum((mean - other) ** 2) + np.trace(sigma + tau - 2 * np.real(root))
    assert found == pytest.approx(definition, rel=1e-3)


def test_the_kernel_distance_is_its_definition() -> None:
    """Bińkowski et al. 2018, equation 4, one pair at a time; with one subset there is: all images."""
    x, y = normal(5, 12, 4), normal(6, 12, 4, shift=1)

    def kernel(a: torch.Tensor, b: torch.Tensor) -> float:
        return float((a @ b / 4 + 1) ** 3)

    pairs = [(i, j) for i in range(12) for j in range(12)]
    wanted = (
        sum(kernel(side[i], side[j]) for side in (x, y) for i, j in pairs if i != j) / (12 * 11)
        - 2 * sum(kernel(x[i], y[j]) for i, j in pairs) / 144
    )
    found, deviation = kernel_distance(x, y)
    assert found == pytest.approx(wanted, rel=1e-12)
    assert deviation is None  # of one value


@pytest.mark.slow
def test_the_kernel_distance_over_subsets_is_torch_fidelitys() -> None:
    x, y = normal(7, 1100, 16, scale=0.3), normal(8, 1300, 16, scale=0.3, shift=0.1)
    wanted = kid_features_to_metric(x, y, kid_subsets=100, kid_subset_size=1000, rng_seed=3, verbose=False)
    assert kernel_distance(x, y, seed=3) == pytest.approx(tuple(wanted.values()), rel=1e-9)


def test_the_kernel_distance_is_unbiased_where_the_frechet_distance_is_not() -> None:
    """Two small samples of one distribution: around zero on both sides of it, and far above zero."""
    dice = torch.Generator().manual_seed(9)
    sets = torch.randn(40, 2, 50, 16, generator=dice, dtype=torch.float64)
    kernels = [kernel_distance(a, b)[0] for a, b in sets]
    assert min(kernels) < 0 < max(kernels)
    assert abs(np.mean(kernels)) < 3 * np.std(kernels) / np.sqrt(len(kernels))
    assert min(frechet_distance(gaussian(a), gaussian(b)) for a, b in sets) > 1


def score(logits: torch.Tensor, batch: int) -> tuple[float, float]:
    found = ClassifierScore(len(logits))
    for part in logits.split(batch):
        found.add(part)
    return found.result()


@pytest.mark.parametrize("batch", [1, 32, 203])
def test_the_score_is_its_definition_and_torch_fidelitys(batch: int) -> None:
    logits = 3 * normal(10, 203, 7).float()
    scores = []
    for i in range(10):
        p = torch.softmax(logits[i * 203 // 10 : (i + 1) * 203 // 10].double(), 1).numpy()
        divergences = [sum(q * np.log(q / m) for q, m in zip(row, p.mean(0), strict=True)) for row in p]
        scores.append(np.exp(np.mean(divergences)))
    found = score(logits, batch)
    assert found == pytest.approx((np.mean(scores), np.std(scores)), rel=1e-9)
    assert found == pytest.approx(tuple(isc_features_to_metric(logits, shuffle=False).values()), rel=1e-9)


def test_the_score_goes_from_one_to_the_number_of_classes() -> None:
    assert score(torch.zeros(100, 5), 32) == pytest.approx((1, 0))
    certain = 1000 * torch.eye(5).repeat(20, 1)  # probabilities of exactly 0 and 1
    assert score(certain, 32) == pytest.approx((5, 0))
    assert score(certain[:1], 1) == pytest.approx((1, 0))  # fewer images than splits


def test_a_score_of_images_that_have_not_come_is_refused() -> None:
    found = ClassifierScore(100)
    found.add(torch.zeros(99, 5))
    with pytest.raises(ValueError, match="99 of 100"):
        found.result()
