"""Diversity and sharpness of made-up images, beside others whose figures are known."""

import numpy as np
import pytest

from wgan.training.measures.diversity import MOST, DiversityAndSharpness

DICE = np.random.default_rng(0)


def noise(count: int, size: int = 32, contrast: int = 256) -> np.ndarray:
    return DICE.integers(0, contrast, (count, size, size, 3)).astype(np.uint8)


def flat(values: list[int], size: int = 32) -> np.ndarray:
    return np.broadcast_to(np.array(values, np.uint8)[:, None, None, None], (len(values), size, size, 3)).copy()


def test_two_samples_of_one_distribution_are_alike() -> None:
    found = DiversityAndSharpness(noise(200))(noise(300))
    assert found["diversity"] == pytest.approx(1, abs=0.02)
    assert found["sharpness"] == pytest.approx(1, abs=0.02)


def test_diversity_is_the_ratio_of_the_mean_distances_of_two_images() -> None:
    real = flat([0, 30, 90])  # distances 30, 60, 90: mean 60
    assert DiversityAndSharpness(real)(flat([0, 20, 40]))["diversity"] == pytest.approx(80 / 180)
    assert DiversityAndSharpness(real)(flat([50, 50, 50, 50]))["diversity"] == 0
    # a generator of two images, however unlike, makes half of the pairs equal
    assert DiversityAndSharpness(real)(flat([0, 90] * 50))["diversity"] == pytest.approx(90 / 60 * 2500 / 4950)


def test_sharpness_falls_with_contrast_and_with_blur_and_diversity_sees_no_noise() -> None:
    real = noise(100)
    relative = DiversityAndSharpness(real)
    assert relative(real // 2)["sharpness"] == pytest.approx(0.5, abs=0.01)
    coarse = real.reshape(100, 16, 2, 16, 2, 3).mean((2, 4)).repeat(2, 1).repeat(2, 2).round().astype(np.uint8)
    found = relative(coarse)
    assert found["sharpness"] < 0.5
    assert found["diversity"] == pytest.approx(1, abs=0.01)


def test_it_does_not_depend_on_the_order_and_looks_at_512_at_most() -> None:
    real, fake = noise(20, 8), noise(MOST, 8, 128)
    relative = DiversityAndSharpness(real)
    assert relative(fake[::-1].copy()) == pytest.approx(relative(fake), rel=1e-4)
    assert relative(np.concatenate([fake, noise(50, 8)])) == pytest.approx(relative(fake), rel=1e-6)


def test_reals_without_any_variety_or_edges_have_nothing_beside_them() -> None:
    assert DiversityAndSharpness(flat([7, 7, 7]))(noise(5)) == {"diversity": 1.0, "sharpness": 1.0}
    assert DiversityAndSharpness(noise(1))(noise(5))["diversity"] == 1.0
