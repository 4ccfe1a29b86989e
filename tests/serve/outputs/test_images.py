"""Pixels, pages and PNG files."""

import io

import numpy as np
import pytest
from PIL import Image

from wgan.serve.base.errors import BackendError
from wgan.serve.outputs.pixels import BACKGROUND, CHECKS, checkered, encode_png, grid, to_pil, to_uint8


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_pixels_are_rounded_and_moved_to_the_last_axis(channels):
    x = np.random.default_rng(1).uniform(-1.2, 1.2, (5, channels, 6, 7)).astype(np.float32)
    expected = np.clip(np.rint((x + np.float32(1)) * np.float32(127.5)), 0, 255)
    pixels = to_uint8(x)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    assert np.array_equal(pixels, expected.transpose(0, 2, 3, 1))


def test_a_half_goes_to_the_even_level_and_the_ends_are_reached():
    x = np.array([-1, 0, 1, 1 / 255 * 2 - 1, 5, -5], np.float32).reshape(1, 1, 1, 6)
    assert to_uint8(x).ravel().tolist() == [0, 128, 255, 1, 255, 0]
    halves = (np.array([0.5, 1.5, 2.5, 127.5]) / 127.5 - 1).astype(np.float32)
    exact = (halves + np.float32(1)) * np.float32(127.5)
    expected = np.rint(exact).astype(int)
    assert to_uint8(halves.reshape(1, 1, 1, -1)).ravel().tolist() == expected.tolist()


def test_arrays_of_any_memory_layout_are_read_right():
    x = np.random.default_rng(1).uniform(-1, 1, (4, 6, 7, 3)).astype(np.float32)
    view = x.transpose(0, 3, 1, 2)
    assert np.array_equal(to_uint8(view), to_uint8(np.ascontiguousarray(view)))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_no_number_is_an_error_naming_the_image(bad):
    x = np.zeros((3, 3, 4, 4), np.float32)
    x[2, 1, 0, 3] = bad
    with pytest.raises(BackendError, match=r"NaN or Inf in image 2 of a batch of 3"):
        to_uint8(x)


def test_a_batch_of_several_blocks_is_rounded_like_its_images_alone():
    x = np.random.default_rng(1).uniform(-1.1, 1.1, (9, 3, 128, 128)).astype(np.float32)
    assert np.array_equal(to_uint8(x), np.concatenate([to_uint8(image[None]) for image in x]))
    x[7, 1, 5, 6] = np.nan
    with pytest.raises(BackendError, match=r"image 7 of a batch of 9"):
        to_uint8(x)


def test_no_images_are_no_pixels():
    assert to_uint8(np.empty((0, 3, 4, 5), np.float32)).shape == (0, 4, 5, 3)


def test_a_grid_places_images_in_reading_order():
    images = noise(5, 4, 6, 3)
    page = grid(images, pad=2)
    assert page.shape == (2 + 2 * 6, 2 + 3 * 8, 3)
    assert np.array_equal(page[2:6, 2:8], images[0])
    assert np.array_equal(page[2:6, 18:24], images[2])
    assert np.array_equal(page[8:12, 10:16], images[4])
    assert (page[8:, 18:] == BACKGROUND).all()
    assert (page[:2] == BACKGROUND).all()


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (2, 2), (4, 2), (5, 3), (9, 3), (10, 4), (64, 8), (65, 9)])
def test_a_grid_is_nearly_square(count, columns):
    assert grid(np.zeros((count, 1, 1, 1), np.uint8), pad=0).shape[1] == columns


def test_columns_can_be_asked_for():
    assert grid(noise(6, 4, 4, 1), columns=6, pad=0).shape == (4, 24, 1)


def test_transparent_images_are_on_a_checkerboard_on_a_page():
    images = noise(5, 32, 32, 4)
    images[0, ..., 3], images[1, ..., 3] = 0, 255
    page = grid(images, pad=2)
    assert page.shape == (2 + 2 * 34, 2 + 3 * 34, 3)
    board = page[2:34, 2:34]
    assert board[0, 0].tolist() == board[4, 4].tolist() == [CHECKS[0]] * 3
    assert board[0, 4].tolist() == board[4, 0].tolist() == [CHECKS[1]] * 3
    assert np.array_equal(page[2:34, 36:68], images[1, ..., :3])
    share = images[2, ..., 3:] / 255
    assert np.abs(page[2:34, 70:102] - (images[2, ..., :3] * share + board * (1 - share))).max() <= 0.5001
    assert np.array_equal(checkered(images[2]), page[2:34, 70:102])


@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (8, 300)])
def test_a_checkerboard_fits_any_size(shape):
    assert checkered(noise(2, *shape, 4)).shape == (2, *shape, 3)
    assert checkered(noise(2, *shape, 3)).shape == (2, *shape, 3)


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGBA")])
def test_pillow_gets_the_same_pixels(channels, mode):
    image = noise(5, 7, channels)
    assert to_pil(image).mode == mode
    assert np.array_equal(np.asarray(to_pil(image)).reshape(image.shape), image)


@pytest.mark.parametrize("shape", [(1, 1, 3), (64, 64, 3), (33, 17, 3), (28, 28, 1), (300, 1000, 3), (33, 17, 4)])
def test_a_png_decodes_to_the_same_pixels(shape):
    for image in (noise(*shape), np.full(shape, 200, np.uint8)):
        data = encode_png(image)
        with Image.open(io.BytesIO(data)) as decoded:
            assert decoded.mode == {1: "L", 3: "RGB", 4: "RGBA"}[shape[2]]
            assert np.array_equal(np.asarray(decoded).reshape(shape), image)
        with Image.open(io.BytesIO(data)) as decoded:
            decoded.verify()  # every checksum


def test_a_view_is_encoded_like_its_copy():
    image = noise(3, 8, 8)
    view = image.transpose(1, 2, 0)[::-1]
    assert encode_png(view) == encode_png(view.copy())


def test_text_of_any_script_is_kept():
    text = {"seed": "7", "model": "ab" * 32, "label": "青い髪", "note": "é"}
    with Image.open(io.BytesIO(encode_png(noise(4, 4, 3), text))) as decoded:
        assert decoded.info == text


def test_flat_areas_are_compressed():
    assert len(encode_png(np.full((64, 64, 3), 9, np.uint8))) < 300
