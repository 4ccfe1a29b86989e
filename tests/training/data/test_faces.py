"""The built-in dataset."""

import numpy as np
import pytest

from wgan.training.data import faces
from wgan.training.data.faces.look import HAIR


def some(first: int, count: int, size: int = 64) -> tuple[np.ndarray, np.ndarray]:
    drawn = [faces.draw_face(first + i, size) for i in range(count)]
    return np.stack([image for image, _ in drawn]), np.array([label for _, label in drawn])


@pytest.mark.parametrize("size", [8, 16, 32, 64, 128, 256])
def test_a_face_has_the_size_that_was_asked_for(size: int) -> None:
    image, label = faces.draw_face(5, size)
    assert image.shape == (size, size, 3)
    assert image.dtype == np.uint8
    assert 0 <= label < len(faces.CLASSES)


def test_a_face_depends_on_its_index_alone() -> None:
    alone, _ = faces.draw_face(11, 32)
    faces.draw_face(12, 32)
    np.testing.assert_array_equal(faces.draw_face(11, 32)[0], alone)


def test_faces_are_all_different() -> None:
    images, _ = some(0, 64, 32)
    assert len({image.tobytes() for image in images}) == 64


def test_a_large_face_is_the_small_one_with_more_detail() -> None:
    large = faces.draw_face(3, 128)[0].reshape(32, 4, 32, 4, 3).mean(axis=(1, 3))
    small = faces.draw_face(3, 32)[0].astype(float)
    other = faces.draw_face(3 + len(faces.CLASSES), 32)[0].astype(float)
    assert np.abs(large - small).mean() < 10
    assert np.abs(large - other).mean() > 20


def test_classes_are_eight_and_balanced() -> None:
    _, labels = some(faces.HELD_OUT, 16, 8)
    assert len(faces.CLASSES) == 8
    assert np.bincount(labels, minlength=8).tolist() == [2] * 8


def test_every_pixel_region_varies_over_the_set() -> None:
    images, _ = some(0, 64, 32)
    assert images.std(axis=0).mean(axis=-1).min() > 10


@pytest.mark.parametrize("size", [32, 64])
def test_hair_colour_is_read_from_pixels(size: int) -> None:
    images, labels = some(faces.HELD_OUT, 160, size)
    assert (faces.classify_hair(images) == labels).mean() > 0.97


def test_hair_colour_is_not_read_from_the_background() -> None:
    images, labels = some(0, 80)
    covered = images.copy()
    covered[:, 12:24, 20:44] = images[::-1, 12:24, 20:44]
    assert (faces.classify_hair(covered) == labels[::-1]).mean() > 0.97


def test_hair_colours_are_named_ranges() -> None:
    assert tuple(HAIR) == faces.CLASSES
    assert all(low < high for ranges in HAIR.values() for low, high in ranges)
