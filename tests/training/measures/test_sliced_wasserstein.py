"""The sliced Wasserstein distance: what moves it, what must not, and an independent computation of it."""

import numpy as np
import pytest
import scipy.ndimage
import scipy.stats
import torch

from wgan.training.measures.sliced_wasserstein import laplacian_pyramid, quantiles, resolutions, sliced_wasserstein

COUNT, SIZE = 64, 64


def discs(seed: int, count: int = COUNT, size: int = SIZE) -> np.ndarray:
    """Images with flat colours and sharp edges, uint8 (count, size, size, 3)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    images = np.empty((count, size, size, 3), np.uint8)
    for image in images:
        image[:] = rng.integers(40, 216, 3)
        for _ in range(6):
            (a, b), radius = rng.uniform(0, size, 2), rng.uniform(size / 16, size / 4)
            image[(x - a) ** 2 + (y - b) ** 2 < radius**2] = rng.integers(40, 216, 3)
    return images


def blurred(images: np.ndarray, sigma: float) -> np.ndarray:
    return scipy.ndimage.gaussian_filter(images, (0, sigma, sigma, 0))


def noisy(images: np.ndarray, sigma: float) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, sigma, images.shape)
    return np.clip(images + noise, 0, 255).round().astype(np.uint8)


def tinted(images: np.ndarray, amount: int) -> np.ndarray:
    """Half of the images redder, the other half bluer."""
    wide = images.astype(int)
    wide[::2, ..., 0] += amount
    wide[1::2, ..., 2] += amount
    return np.clip(wide, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def real() -> np.ndarray:
    return discs(1)


def distance(real: np.ndarray, fake: np.ndarray, **options: int) -> dict[int, float]:
    return sliced_wasserstein(real, fake, **{"max_descriptors": 1024, **options}).levels


def test_a_set_is_at_zero_from_itself_in_any_order(real):
    shuffled = real[np.random.default_rng(0).permutation(len(real))]
    assert set(distance(real, real.copy()).values()) == {0.0}
    assert set(distance(real, shuffled).values()) == {0.0}


def test_order_does_not_change_a_distance_that_is_not_zero(real):
    fake = discs(2)
    assert distance(real, fake) == distance(real[::-1], np.roll(fake, 5, axis=0))
    assert min(distance(real, fake).values()) > 1


def test_it_is_symmetric_and_repeats_by_seed(real):
    fake = blurred(real, 1)
    assert distance(real, fake) == pytest.approx(distance(fake, real))
    assert distance(real, fake) == distance(real, fake)
    assert distance(real, fake) != distance(real, fake, seed=1)


@pytest.mark.parametrize(
    ("damage", "amounts", "level"),
    [(blurred, (0.5, 1, 2), 64), (noisy, (4, 12, 40), 64), (tinted, (30, 60, 120), 16)],
)
def test_it_grows_with_the_damage(real, damage, amounts, level):
    found = [distance(real, damage(real, amount))[level] for amount in amounts]
    assert found == sorted(found)
    assert found[-1] > 1.5 * found[0]


def test_blur_moves_the_fine_level_and_colour_the_coarse_one(real):
    touched = real.copy()
    touched[:, 0, 0] ^= 1  # to the eye the same images, but their patches lie elsewhere
    nothing, blur, tint = (
        distance(real, fake, max_descriptors=4096) for fake in (touched, blurred(real, 1), tinted(real, 120))
    )
    assert blur[64] > 2 * nothing[64]
    assert blur[16] < 1.5 * nothing[16]
    assert tint[16] > 2 * nothing[16]
    assert tint[64] < 1.5 * nothing[64]


def test_the_mean_is_over_the_levels(real):
    found = sliced_wasserstein(real, discs(2), max_descriptors=256)
    assert list(found.levels) == [64, 32, 16]
    assert found.mean == pytest.approx(sum(found.levels.values()) / 3)


def test_sets_of_unequal_size_are_compared_by_quantiles(real):
    fewer = distance(real, discs(2, count=50))
    equal = distance(real, discs(2))
    assert fewer == pytest.approx(equal, rel=0.5)


def test_interpolated_quantiles_of_a_straight_line_are_its_midpoints():
    line = torch.arange(8.0)[None]
    assert quantiles(line, 4).tolist() == [[0.5, 2.5, 4.5, 6.5]]


def test_one_level_equals_an_independent_computation():
    """All 7 x 7 patches there are: at 7 pixels there is one place, so only the directions are random."""
    a, b = discs(1, 200, 7), noisy(discs(2, 200, 7), 30)
    directions = torch.randn(4, 128, 3 * 49, generator=_after_places(200, 7, places=1)).numpy().reshape(512, -1)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)

    def projected(images: np.ndarray) -> np.ndarray:
        patches = images.transpose(0, 3, 1, 2).astype(float)  # (N, C, 7, 7)
        patches = (patches - patches.mean((0, 2, 3), keepdims=True)) / patches.std((0, 2, 3), keepdims=True)
        return directions @ patches.reshape(len(images), -1).T  # (512, N)

    pairs = zip(projected(a), projected(b), strict=True)
    wanted = 1e3 * np.mean([scipy.stats.wasserstein_distance(x, y) for x, y in pairs])
    assert sliced_wasserstein(a, b, patches=1).levels == {7: pytest.approx(wanted, rel=1e-4)}


def _after_places(count: int, size: int, places: int) -> torch.Generator:
    generator = torch.Generator().manual_seed(0)
    torch.randint(size - 6, (count, places, 2), generator=generator)
    return generator


def test_the_pyramid_equals_scipys_and_adds_up_to_the_image(real):
    images = torch.from_numpy(real[:2]).permute(0, 3, 1, 2).double().float()
    fine, coarse = laplacian_pyramid(images, 2)
    kernel = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]) / 256
    wanted = scipy.ndimage.convolve(images[0, 0].numpy(), kernel, mode="mirror")[::2, ::2]
    assert np.allclose(coarse[0, 0], wanted, atol=1e-3)
    spread = np.zeros((SIZE, SIZE))
    spread[::2, ::2] = 4 * wanted
    doubled = scipy.ndimage.convolve(spread, kernel, mode="mirror")
    assert np.allclose(fine[0, 0].numpy() + doubled, images[0, 0], atol=1e-3)


def test_grey_small_and_constant_images_are_measured(real):
    grey = real[:, ::8, ::8, :1]
    assert list(distance(grey, 255 - grey)) == [8]
    flat = np.full((4, 16, 16, 3), 200, np.uint8)
    assert distance(flat, flat // 2) == {16: 0.0}


@pytest.mark.parametrize(("size", "levels"), [(256, [256, 128, 64, 32, 16]), (48, [48, 24]), (16, [16]), (8, [8])])
def test_levels_go_down_to_sixteen(size, levels):
    assert resolutions(size) == levels


@pytest.mark.parametrize(
    ("shape", "kind"),
    [((4, 16, 16), "uint8"), ((4, 16, 16, 2), "uint8"), ((4, 16, 16, 3), "float32"),
     ((0, 16, 16, 3), "uint8"), ((4, 16, 32, 3), "uint8"), ((4, 4, 4, 3), "uint8")],
)  # fmt: skip
def test_what_is_no_set_of_images_is_refused(shape, kind):
    images = np.zeros(shape, kind)
    with pytest.raises(ValueError, match="expected"):
        sliced_wasserstein(images, images)


def test_sets_of_different_images_are_refused():
    with pytest.raises(ValueError, match="different"):
        sliced_wasserstein(np.zeros((2, 16, 16, 3), np.uint8), np.zeros((2, 32, 32, 3), np.uint8))
