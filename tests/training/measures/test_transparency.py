"""Measures of transparent images: a colour that is not seen never counts, one that is seen does."""

from typing import Any

import numpy as np
import pytest
import torch

from wgan.training.measures.diversity import DiversityAndSharpness
from wgan.training.measures.sliced_wasserstein import sliced_wasserstein
from wgan.training.measures.transparency import on_white, premultiplied, said


def pictures(count: int = 24, seed: int = 0, size: int = 32) -> np.ndarray:
    """Noise with alpha 0, 255 and all between."""
    images = np.random.default_rng(seed).integers(0, 256, (count, size, size, 4), np.uint8)
    images[:, : size // 2, :, 3] = 0
    images[:, size // 2 : size // 2 + 4, :, 3] = 255
    return images


def hidden_changed(images: np.ndarray) -> np.ndarray:
    other = images.copy()
    other[..., :3] = np.where(images[..., 3:] == 0, 255 - images[..., :3], images[..., :3])
    return other


def test_premultiplied_is_the_colour_times_its_alpha() -> None:
    images = pictures()
    found = premultiplied(images)
    wanted = images[..., :3] * (images[..., 3:] / 255)
    assert np.abs(found[..., :3] - wanted).max() <= 0.5
    np.testing.assert_array_equal(found[..., 3], images[..., 3])


def test_on_white_is_what_a_page_shows() -> None:
    images = pictures()
    share = images[..., 3:] / 255
    assert np.abs(on_white(images) - (images[..., :3] * share + 255 * (1 - share))).max() <= 0.5001
    assert (on_white(images)[:, :16] == 255).all()
    every = np.stack(np.meshgrid(*[np.arange(256, dtype=np.uint8)] * 2), axis=-1)[..., [0, 0, 0, 1]]
    assert on_white(every).min() == 0  # no sum has gone beyond 255
    np.testing.assert_array_equal(on_white(every)[255, :, 0], np.arange(256))


@pytest.mark.parametrize("channels", [1, 3])
def test_images_without_alpha_are_left_alone(channels: int) -> None:
    images = pictures()[..., :channels]
    assert premultiplied(images) is images
    assert on_white(images) is images


def test_a_distance_does_not_see_what_is_hidden_and_sees_the_alpha() -> None:
    real, fake = pictures(seed=0), pictures(seed=1)
    assert sliced_wasserstein(real, hidden_changed(real)).mean == 0
    assert sliced_wasserstein(real, hidden_changed(fake)).levels == sliced_wasserstein(real, fake).levels
    thin = real.copy()
    thin[:, 8:20, 8:20, 3] = 60
    assert sliced_wasserstein(real, thin).mean > 3 * sliced_wasserstein(real, fake).mean


def test_diversity_and_sharpness_do_not_see_what_is_hidden() -> None:
    real, fake = pictures(seed=0), pictures(seed=1)
    measure = DiversityAndSharpness(real)
    assert measure(hidden_changed(real)) == {"diversity": 1.0, "sharpness": 1.0}
    assert measure(hidden_changed(fake)) == measure(fake)


def test_inception_sees_images_on_white(monkeypatch: pytest.MonkeyPatch, inception_weights: Any) -> None:
    from wgan.training.measures.inception import Inception

    network = Inception(inception_weights, torch.device("cpu"))
    images = pictures(2)
    for found, wanted in zip(network(images), network(on_white(images)), strict=True):
        assert torch.equal(found, wanted)


def test_records_say_how_alpha_counts() -> None:
    assert said(4, "swd", "features") == {"swd_alpha": "premultiplied", "features_alpha": "on white"}
    assert said(4, "swd") == {"swd_alpha": "premultiplied"}
    assert said(3, "swd", "features") == said(1, "swd") == {}
