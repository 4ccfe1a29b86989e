"""Nearest training images: a copy is at distance 0, the order is the plain distance's, real images set the scale."""

import numpy as np
import pytest

from wgan.training.measures import nearest
from wgan.training.measures.nearest import NEIGHBOURS, Nearest, shrunk


def images(count: int, size: int = 16, channels: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, channels), np.uint8)


def plain(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.sqrt(np.mean((one.astype(float) - other.astype(float)) ** 2)))


def test_a_copy_is_at_distance_zero_and_found_where_it_lies() -> None:
    data = images(50)
    found = Nearest(data)(np.stack([data[17], images(1, seed=1)[0]]))
    assert found.places[0, 0] == 17
    assert found.distances[0, 0] == 0
    assert found.distances[1, 0] > 0


def test_the_nearest_are_those_of_the_plain_distance_in_its_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest, "_CHUNK", 7)  # several pieces
    data, samples = images(40), images(5, seed=1)
    found = Nearest(data)(samples)
    for sample, places, distances in zip(samples, found.places, found.distances, strict=True):
        every = [plain(sample, image) for image in data]
        assert places.tolist() == np.argsort(every)[:NEIGHBOURS].tolist()
        assert distances == pytest.approx(sorted(every)[:NEIGHBOURS], rel=1e-5)


def test_real_images_are_measured_to_the_nearest_other_one() -> None:
    data = images(30)
    each = [min(plain(one, other) for j, other in enumerate(data) if j != i) for i, one in enumerate(data)]
    assert Nearest(data).real == pytest.approx(np.median(each), rel=1e-5)


def test_what_is_like_the_data_has_a_ratio_near_one_and_copies_zero() -> None:
    data = images(200)
    measured = Nearest(data)
    alike, copies = (measured.record(measured(samples)) for samples in (images(64, seed=3), data[:64]))
    assert alike["ratio"] == pytest.approx(1, abs=0.05)
    assert (copies["ratio"], copies["closest"]) == (0, 0)
    assert (alike["samples"], alike["images"]) == (64, 200)


def test_images_are_shrunk_by_means_to_at_most_32_pixels() -> None:
    page = np.zeros((1, 64, 64, 1), np.uint8)
    page[0, :2, :2, 0] = [[0, 100], [200, 255]]
    small = shrunk(page).reshape(32, 32)
    assert small[0, 0] == (0 + 100 + 200 + 255) // 4
    assert small.sum() == small[0, 0]
    assert shrunk(images(2, 16)).shape == (2, 16 * 16 * 3)


def test_the_colour_of_what_is_transparent_does_not_count() -> None:
    data = images(20, channels=4)
    data[4, ..., 3] = 0
    sample = data[4:5].copy()
    sample[..., :3] = 99
    assert Nearest(data)(sample).distances[0, 0] == 0


def test_more_images_than_the_limit_are_sampled_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest, "MOST", 12)
    data = images(40)
    measured = Nearest(data, seed=1)
    found = measured(data)
    assert measured.record(found)["images"] == 12
    assert set(found.places[found.distances[:, 0] == 0, 0]) == set(measured.places)


@pytest.mark.parametrize("count", [1, 2])
def test_a_handful_of_images_is_no_error(count: int) -> None:
    data = images(count)
    measured = Nearest(data)
    found = measured(images(3, seed=1))
    assert found.places.shape == (3, count)
    assert (measured.record(found)["ratio"] is None) is (count == 1)


def test_equal_images_leave_no_scale() -> None:
    data = np.repeat(images(1), 5, axis=0)
    measured = Nearest(data)
    assert measured.record(measured(data))["ratio"] is None
