"""One image file to pixels: every mode that Pillow opens, rotation, fit, damage."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import CenterCrop, Resize

from wgan.training.data import faces
from wgan.training.data.decode import MAX_PIXELS, Shape, Unreadable, decode

RAMP = np.tile(np.arange(0, 256, 8, dtype=np.uint8), (32, 1))  # (32, 32), dark to light
FACE = Image.fromarray(faces.draw_face(1, 32)[0])


def encoded(image: Image.Image, kind: str = "png", **options: object) -> io.BytesIO:
    file = io.BytesIO()
    image.save(file, kind, **options)
    file.seek(0)
    return file


def decoded(file: io.BytesIO, size: int = 32, channels: int = 3, fit: str = "crop") -> np.ndarray:
    return decode(file, Shape(size, channels, fit))


def grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(values[..., None], 3, axis=-1)


def test_rgb_comes_out_as_it_went_in() -> None:
    np.testing.assert_array_equal(decoded(encoded(FACE)), np.asarray(FACE))


def test_grey_is_the_same_in_all_channels() -> None:
    np.testing.assert_array_equal(decoded(encoded(Image.fromarray(RAMP))), grey(RAMP))


def test_one_channel_is_luma() -> None:
    out = decoded(encoded(FACE), channels=1)
    assert out.shape == (32, 32, 1)
    expected = np.asarray(FACE) @ np.array([0.299, 0.587, 0.114])
    assert np.abs(out[..., 0] - expected).max() <= 1
    np.testing.assert_array_equal(decoded(encoded(Image.fromarray(RAMP)), channels=1)[..., 0], RAMP)


def test_a_palette_gives_its_colours() -> None:
    palette = FACE.quantize(64)
    np.testing.assert_array_equal(decoded(encoded(palette)), np.asarray(palette.convert("RGB")))


@pytest.mark.parametrize("transparency", [3, bytes([255, 255, 255, 0])])
def test_a_palettes_transparent_colour_is_white(transparency: int | bytes) -> None:
    image = Image.fromarray(np.repeat(np.arange(4, dtype=np.uint8), 256).reshape(32, 32))
    image = image.convert("P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9])
    out = decoded(encoded(image, transparency=transparency))
    assert out[::8, 0].tolist() == [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]


def test_alpha_is_laid_on_white() -> None:
    image = FACE.copy()
    image.putalpha(Image.fromarray(RAMP))
    share = RAMP[..., None] / 255
    expected = np.asarray(FACE) * share + 255 * (1 - share)
    assert np.abs(decoded(encoded(image)) - expected).max() <= 1


def test_grey_with_alpha_is_laid_on_white() -> None:
    image = Image.merge("LA", [Image.new("L", (32, 32), 40), Image.fromarray(RAMP)])
    expected = 40 * (RAMP / 255) + 255 * (1 - RAMP / 255)
    assert np.abs(decoded(encoded(image)) - grey(expected)).max() <= 1


@pytest.mark.parametrize(("image", "key"), [(FACE, (7, 7, 7)), (Image.fromarray(RAMP), 80)])
def test_a_colour_that_stands_for_transparent_is_white(image: Image.Image, key: tuple[int, ...] | int) -> None:
    image = image.copy()
    image.paste(key, (0, 0, 8, 8))
    out = decoded(encoded(image, transparency=key))
    assert (out[:8, :8] == 255).all()
    assert (out[9:, :9] != 255).any()


@pytest.mark.parametrize("kind", ["jpeg", "tiff"])
def test_cmyk_keeps_its_colours(kind: str) -> None:
    # an Adobe JPEG stores the inks inverted, a TIFF does not
    cyan = Image.new("CMYK", (32, 32), (255, 0, 0, 0))
    out = decoded(encoded(cyan, kind)).astype(int)
    assert np.abs(out - [0, 255, 255]).max() <= 3
    dark = Image.new("CMYK", (32, 32), (0, 0, 0, 204))
    assert np.abs(decoded(encoded(dark, kind)).astype(int) - 51).max() <= 3


@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_sixteen_bits_are_scaled_not_clipped(kind: str) -> None:
    deep = Image.fromarray(RAMP.astype(np.uint16) * 257)
    assert deep.mode == "I;16"
    np.testing.assert_array_equal(decoded(encoded(deep, kind)), grey(RAMP))


def test_sixteen_bits_in_a_32_bit_mode_are_scaled() -> None:
    deep = Image.fromarray(RAMP.astype(np.int32) * 257)
    assert deep.mode == "I"
    np.testing.assert_array_equal(decoded(encoded(deep, "tiff")), grey(RAMP))


def test_wider_numbers_are_stretched() -> None:
    deep = Image.fromarray(RAMP.astype(np.int32) * 1_000_000 - 9)
    expected = np.rint(RAMP * (255 / RAMP.max()))
    assert np.abs(decoded(encoded(deep, "tiff")) - grey(expected)).max() <= 1


@pytest.mark.parametrize("scale", [1 / 255, 1.0])
def test_floats_are_taken_as_unit_or_byte_range(scale: float) -> None:
    values = Image.fromarray(RAMP.astype(np.float32) * np.float32(scale))
    assert values.mode == "F"
    np.testing.assert_array_equal(decoded(encoded(values, "tiff")), grey(RAMP))


def test_floats_that_are_not_finite_are_refused() -> None:
    values = RAMP.astype(np.float32)
    values[3, 3] = np.nan
    with pytest.raises(Unreadable, match="not finite"):
        decoded(encoded(Image.fromarray(values), "tiff"))


def test_one_bit_is_black_and_white() -> None:
    bits = RAMP > 100
    np.testing.assert_array_equal(decoded(encoded(Image.fromarray(bits))), grey(bits * np.uint8(255)))


@pytest.mark.parametrize("kind", ["gif", "png", "webp"])
def test_of_an_animation_the_first_frame_is_taken(kind: str) -> None:
    frames = [Image.new("RGB", (32, 32), colour) for colour in ((250, 0, 0), (0, 250, 0))]
    options = {"lossless": True} if kind == "webp" else {}
    file = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert np.abs(decoded(file).astype(int) - [250, 0, 0]).max() <= 6


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_undone(orientation: int) -> None:
    upright = np.zeros((16, 16, 3), np.uint8)
    upright[:8, :8], upright[:8, 8:], upright[8:, :8] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    camera = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright),
        7: np.rot90(upright.transpose(1, 0, 2), 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = encoded(Image.fromarray(np.ascontiguousarray(camera)), exif=exif)
    np.testing.assert_array_equal(decoded(file, size=16), upright)


def test_exif_that_cannot_be_read_turns_nothing() -> None:
    file = encoded(FACE, "webp", lossless=True, exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff")
    np.testing.assert_array_equal(decoded(file), np.asarray(FACE))


def test_squash_is_torchvisions_resize() -> None:
    wide = Image.fromarray(faces.draw_face(2, 128)[0]).crop((0, 16, 128, 80))
    expected = np.asarray(Resize((32, 32))(wide))
    np.testing.assert_array_equal(decoded(encoded(wide), fit="squash"), expected)


@pytest.mark.parametrize("size", [(104, 64), (64, 104)])
def test_crop_keeps_the_aspect_and_takes_the_middle(size: tuple[int, int]) -> None:
    image = Image.new("RGB", size, (0, 0, 255))
    image.paste(Image.fromarray(faces.draw_face(2, 64)[0]), ((size[0] - 64) // 2, (size[1] - 64) // 2))
    out = decoded(encoded(image))
    expected = np.asarray(CenterCrop(32)(Resize(32)(image)))
    assert np.abs(out.astype(int) - expected).max() <= 1  # Pillow rounds between its two passes
    assert np.abs(out.astype(int) - faces.draw_face(2, 64)[0].reshape(32, 2, 32, 2, 3).mean(axis=(1, 3))).mean() < 10


def test_reducing_is_antialiased() -> None:
    checks = (np.indices((256, 256)).sum(axis=0) % 2 * 255).astype(np.uint8)
    out = decoded(encoded(Image.fromarray(checks)))
    assert np.abs(out.astype(int) - 128).max() <= 2


def test_a_large_jpeg_is_as_good_as_the_image_it_was_made_of() -> None:
    large = FACE.resize((1024, 1024), Image.Resampling.BICUBIC)
    exact = np.asarray(large.resize((32, 32), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(decoded(encoded(large, "jpeg", quality=95)) - exact).mean() < 2


def whole_png() -> bytes:
    return encoded(Image.fromarray(faces.draw_face(1, 64)[0])).getvalue()


def huge_png(side: int) -> bytes:
    """Says that it is side x side pixels, in under a hundred bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"hello, I am text", "not an image"),
        (whole_png()[: len(whole_png()) // 2], "truncated"),
        (encoded(FACE, "jpeg").getvalue()[:-300], "truncated"),
        (whole_png()[:60] + b"\0" * 50 + whole_png()[110:], "."),
        (huge_png(int(MAX_PIXELS**0.5) + 1), "bomb"),
        (huge_png(60_000), "bomb"),
    ],
    ids=["empty", "text", "half a png", "half a jpeg", "damaged png", "bomb", "large bomb"],
)
def test_what_is_no_whole_image_is_refused_with_a_reason(content: bytes, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason) as caught:
        decoded(io.BytesIO(content))
    assert "\n" not in str(caught.value)
