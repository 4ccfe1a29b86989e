"""Transparent files to pixels: kept as straight RGBA, or laid on a colour; what is not seen never matters."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wgan.serve.base.errors import DatasetError
from wgan.training.data import ImageSet, held_out, open_images
from wgan.training.data.decode import Shape, Unreadable, decode
from wgan.training.data.of_run import nothing_transparent
from wgan.training.data.transparency import NOWHERE, resized

RGBA = Shape(16, 4, "crop")
NOISE = np.random.default_rng(0).integers(0, 256, (64, 64, 4), np.uint8)


def encoded(image: Image.Image, kind: str = "png", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def decoded(content: bytes, shape: Shape = RGBA) -> np.ndarray:
    return decode(io.BytesIO(content), shape)


def sprite(hidden: np.ndarray | int, size: int = 64) -> Image.Image:
    """A disc of two colours with a soft edge; ``hidden`` is the colour where nothing is seen."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    alpha = np.clip((size / 3 - np.hypot(x, y)) / 4 + 0.5, 0, 1)
    pixels = np.zeros((size, size, 4), np.uint8)
    pixels[..., :3] = np.where((x < 0)[..., None], (200, 40, 10), (20, 60, 220))
    pixels[..., 3] = np.rint(255 * alpha)
    pixels[..., :3] = np.where(pixels[..., 3:] > 0, pixels[..., :3], hidden)
    return Image.fromarray(pixels)


def on(pixels: np.ndarray, colour: float | np.ndarray) -> np.ndarray:
    share = pixels[..., 3:] / 255
    laid: np.ndarray = pixels[..., :3] * share + colour * (1 - share)
    return laid


def png(width: int, depth: int, kind: int, row: bytes, key: bytes = b"") -> bytes:
    """One row of pixels; Pillow writes no PNG of less than 8 bits with a transparent colour, nor one of 16."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, 1, depth, kind, 0, 0, 0))
    middle = (chunk(b"tRNS", key) if key else b"") + chunk(b"IDAT", zlib.compress(b"\0" + row))
    return b"\x89PNG\r\n\x1a\n" + header + middle + chunk(b"IEND", b"")


def test_at_its_own_size_an_image_is_what_it_was() -> None:
    image = NOISE.copy()
    image[..., 3] = np.maximum(image[..., 3], 1)
    np.testing.assert_array_equal(decoded(encoded(Image.fromarray(image)), Shape(64, 4, "crop")), image)


@pytest.mark.parametrize("fit", ["crop", "squash"])
@pytest.mark.parametrize("size", [8, 16, 64, 128])
def test_the_colour_of_what_is_not_seen_does_not_matter(tmp_path: Path, fit: str, size: int) -> None:
    for name, hidden in (("black", 0), ("noise", NOISE[..., :3])):
        (tmp_path / name).mkdir()
        sprite(hidden).crop((0, 0, 60, 50)).save(tmp_path / name / "0.png")
    one, other = (
        open_images(str(tmp_path / name), Shape(size, 4, fit), cache_dir=tmp_path / "cache")
        for name in ("black", "noise")
    )
    np.testing.assert_array_equal(one.images, other.images)
    assert one.digest == other.digest


def test_what_is_not_seen_goes_on_from_what_is() -> None:
    pixels = decoded(encoded(sprite(NOISE[..., :3])), Shape(64, 4, "crop"))
    hidden = pixels[..., 3] == 0
    left, right = (pixels[:, side][hidden[:, side]][:, :3].astype(int) for side in (slice(0, 8), slice(56, 64)))
    assert np.abs(left - (200, 40, 10)).max() < 40
    assert np.abs(right - (20, 60, 220)).max() < 40
    steps = np.abs(np.diff(pixels[:4, :, :3].astype(int), axis=1))  # above the disc, from one colour to the other
    assert steps.max() < 60


@pytest.mark.parametrize("size", [7, 9, 28, 48])
def test_a_side_that_does_not_halve_to_one_pixel_is_continued_too(size: int) -> None:
    image = Image.new("RGBA", (size, size), (0, 255, 0, 0))
    image.paste((200, 40, 10, 100), (2, 2, size // 2, size // 2))
    np.testing.assert_array_equal(
        np.unique(resized(image, size, None)[..., :3].reshape(-1, 3), axis=0), [[200, 40, 10]]
    )


def test_an_image_without_a_visible_pixel_is_grey() -> None:
    clear = NOISE.copy()
    clear[..., 3] = 0
    assert np.unique(decoded(encoded(Image.fromarray(clear)))[..., :3]) == [NOWHERE]


@pytest.mark.parametrize("colour", [0, 255, 90])
@pytest.mark.parametrize("size", [16, 32, 128])
def test_resizing_is_that_of_the_image_on_any_ground(colour: int, size: int) -> None:
    image = sprite(NOISE[..., :3])
    ground = Image.new("RGBA", image.size, (colour,) * 3 + (255,))
    laid = Image.alpha_composite(ground, image).convert("RGB").resize((size, size), Image.Resampling.BILINEAR)
    pixels = decoded(encoded(image), Shape(size, 4, "crop"))
    assert np.abs(on(pixels, colour) - np.asarray(laid)).max() <= 2  # both round


def test_an_edge_keeps_its_colour() -> None:
    image = Image.new("RGBA", (64, 64), (0, 255, 0, 0))
    image.paste((255, 0, 0, 255), (21, 0, 64, 64))
    pixels = decoded(encoded(image))
    assert set(np.unique(pixels[..., 3])) > {0, 255}
    np.testing.assert_array_equal(np.unique(pixels[..., :3].reshape(-1, 3), axis=0), [[255, 0, 0]])


def test_faint_pixels_keep_their_colours() -> None:
    faint = np.zeros((64, 64, 4), np.uint8)
    faint[...] = (100, 150, 200, 2)  # in 8 bits premultiplied: 1, 1, 2
    np.testing.assert_array_equal(decoded(encoded(Image.fromarray(faint)))[0, 0], (100, 150, 200, 2))


def test_all_of_a_large_image_is_taken() -> None:
    pixels = np.zeros((2048, 4096, 4), np.uint8)
    pixels[:40, :, 3] = pixels[-40:, :, 3] = 255
    pixels[:, :40, 3] = pixels[:, -40:, 3] = 255  # a frame, the same on every side
    alpha = resized(Image.fromarray(pixels), 8, None)[..., 3]
    np.testing.assert_array_equal(alpha, alpha[::-1])
    np.testing.assert_array_equal(alpha, alpha[:, ::-1])
    assert alpha[0, 0] > alpha[0, 4] > alpha[4, 4] == 0


def test_a_large_image_is_averaged_first_and_no_worse() -> None:
    large = sprite(0, 4200)
    pixels = resized(large, 16, (100.0, 100.5, 4100.0, 4100.5))
    exact = sprite(0, 4200).crop((100, 100, 4100, 4100)).convert("RGBa").resize((16, 16), Image.Resampling.BILINEAR)
    assert np.abs(on(pixels, 255) - on(np.asarray(exact.convert("RGBA")), 255)).max() <= 3


PALETTE = Image.fromarray(np.repeat(np.arange(4, dtype=np.uint8), 1024).reshape(64, 64)).convert("P")
PALETTE.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9])
GREY = Image.merge("LA", [Image.new("L", (64, 64), 40), Image.fromarray(NOISE[..., 3] // 2 + 1)])
FRAMES = [sprite(0), Image.new("RGBA", (64, 64), (0, 0, 255, 90))]
KEYED = Image.new("L", (64, 64), 40)
KEYED.paste(70, (0, 0, 32, 64))


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (
            encoded(PALETTE, transparency=3),
            PALETTE.convert("RGB"),
        ),
        (encoded(PALETTE, transparency=bytes([255, 128, 0, 7])), None),
        (encoded(GREY), GREY),
        (encoded(GREY, "webp", lossless=True, exact=True), GREY),
        (encoded(KEYED, transparency=70), None),
        (encoded(FRAMES[0], "webp", lossless=True, save_all=True, append_images=FRAMES[1:]), FRAMES[0]),
        (encoded(FRAMES[0], "png", save_all=True, append_images=FRAMES[1:]), FRAMES[0]),
        (encoded(FRAMES[0], "tiff"), FRAMES[0]),
        (encoded(FRAMES[0], "tga"), FRAMES[0]),
    ],
    ids=["palette", "palette with alphas", "LA", "WebP of LA", "grey and a key", "WebP film", "APNG", "TIFF", "TGA"],
)
def test_every_kind_of_file_keeps_its_alpha(content: bytes, wanted: Image.Image | None) -> None:
    pixels = decoded(content, Shape(64, 4, "crop"))
    with Image.open(io.BytesIO(content)) as image:
        plain = np.asarray(image.convert("RGBA"))
    assert plain[..., 3].min() < 255
    np.testing.assert_array_equal(pixels[..., 3], plain[..., 3])
    seen = plain[..., 3] > 0
    np.testing.assert_array_equal(pixels[seen], plain[seen])
    if wanted is not None:
        same = np.asarray(wanted.convert("RGBA"))
        np.testing.assert_array_equal(pixels[seen][:, :3], same[seen][:, :3])


def test_of_a_transparent_gif_the_first_frame_is_taken() -> None:
    hard = [frame.copy() for frame in FRAMES]
    hard[0].putalpha(hard[0].getchannel("A").point(lambda alpha: 255 * (alpha > 127)))
    content = encoded(hard[0], "gif", save_all=True, append_images=hard[1:], disposal=2)
    pixels = decoded(content, Shape(64, 4, "crop"))
    np.testing.assert_array_equal(pixels[..., 3], np.asarray(hard[0])[..., 3])
    seen = pixels[..., 3] > 0
    assert np.abs(pixels[seen].astype(int) - np.asarray(hard[0])[seen]).max() <= 8


@pytest.mark.parametrize(
    ("content", "seen"),
    [
        (png(2, 1, 0, b"\x40", struct.pack(">H", 1)), [0, 0, 0]),
        (png(2, 2, 0, b"\x60", struct.pack(">H", 2)), [85, 85, 85]),
        (png(2, 4, 0, b"\x3f", struct.pack(">H", 15)), [51, 51, 51]),
        (png(2, 8, 0, b"\x07\x08", struct.pack(">H", 8)), [7, 7, 7]),
        (png(2, 16, 0, struct.pack(">HH", 300, 301), struct.pack(">H", 301)), [1, 1, 1]),
        (png(2, 8, 2, bytes(range(6)), struct.pack(">HHH", 3, 4, 5)), [0, 1, 2]),
        (png(2, 16, 2, struct.pack(">6H", 257, 514, 771, 1028, 1285, 1543), struct.pack(">HHH", 1028, 1285, 1543)),
         [1, 2, 3]),
        (png(2, 16, 4, struct.pack(">4H", 257, 65_535, 771, 0)), [1, 1, 1]),
        (png(2, 16, 6, struct.pack(">8H", 257, 514, 771, 65_535, 1, 1, 1, 0)), [1, 2, 3]),
    ],
    ids=["grey 1", "grey 2", "grey 4", "grey 8", "grey 16", "RGB 8", "RGB 16", "LA 16", "RGBA 16"],
)  # fmt: skip
def test_a_png_of_any_depth_is_transparent_where_it_says(content: bytes, seen: list[int]) -> None:
    """The first pixel is seen, the second is not."""
    pixels = decoded(content, Shape(8, 4, "squash"))
    assert pixels[0, 0].tolist() == [*seen, 255]
    assert pixels[0, 7].tolist() == [*seen, 0]
    laid = decoded(content, Shape(8, 3, "squash", (9, 80, 7)))
    assert (laid[0, 0].tolist(), laid[0, 7].tolist()) == (seen, [9, 80, 7])


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "bmp"])
@pytest.mark.parametrize("mode", ["RGB", "L", "P"])
def test_an_opaque_image_gets_an_alpha_of_255(kind: str, mode: str) -> None:
    image = Image.fromarray(NOISE[..., :3]).convert(mode)
    content = encoded(image if mode != "P" or kind not in ("jpeg", "webp") else image.convert("RGB"), kind)
    pixels = decoded(content)
    assert (pixels[..., 3] == 255).all()
    np.testing.assert_array_equal(pixels[..., :3], decoded(content, Shape(16, 3, "crop")))


def test_an_alpha_that_hides_nothing_changes_no_colour() -> None:
    image = Image.fromarray(NOISE[..., :3])
    wanted = decoded(encoded(image), Shape(16, 3, "crop"))
    image.putalpha(255)
    np.testing.assert_array_equal(decoded(encoded(image))[..., :3], wanted)


def test_rotation_turns_the_alpha_too() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = decoded(encoded(sprite(0), exif=exif), Shape(64, 4, "crop"))
    np.testing.assert_array_equal(turned[..., 3], np.rot90(np.asarray(sprite(0)), -1)[..., 3])


@pytest.mark.parametrize("channels", [1, 3])
def test_without_alpha_images_are_laid_on_the_background(tmp_path: Path, channels: int) -> None:
    (tmp_path / "images").mkdir()
    sprite(NOISE[..., :3]).save(tmp_path / "images" / "0.png")
    opened = {
        colour: open_images(
            str(tmp_path / "images"), Shape(64, channels, "crop", colour), cache_dir=tmp_path / "cache"
        ).images[0]
        for colour in ((255, 255, 255), (0, 0, 0), (10, 200, 30))  # one after the other: each has a cache of its own
    }
    for colour, pixels in opened.items():
        ground = np.asarray(Image.new("RGB", (1, 1), colour).convert("L" if channels == 1 else "RGB")).reshape(-1)
        assert pixels[0, 0].tolist() == ground.tolist()
        assert pixels[32, 8:56].tolist() != ground.tolist()
    np.testing.assert_array_equal(opened[0, 0, 0][24:40, 24:40], opened[255, 255, 255][24:40, 24:40])


def test_a_fourth_channel_without_use_is_said() -> None:
    pixels = np.full((300, 8, 8, 4), 255, np.uint8)

    def told(images: np.ndarray) -> str | None:
        return nothing_transparent(ImageSet(images, None, None, "photos", ""))

    line = "channels=4: none of 256 images that were looked at is transparent; channels=3 is enough"
    assert told(pixels) == line
    assert told(pixels[..., :3]) is None
    pixels[::2, 0, 0, 3] = 254
    assert told(pixels) is None


def test_the_built_in_faces_have_no_transparency(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="have no transparency to keep: use channels=3, or images of your own"):
        open_images("faces", RGBA, cache_dir=tmp_path, count_faces=64)
    with pytest.raises(DatasetError, match="use channels=3"):
        held_out("faces", image_size=16, channels=4, cache_dir=tmp_path, count=4)
    assert list(tmp_path.iterdir()) == []


def odd_file(random: np.random.Generator) -> bytes:
    """A file of any mode that carries transparency, of any shape, with few or many levels of alpha."""
    height, width = (int(side) for side in random.integers(1, 80, 2))
    pixels = random.integers(0, 256, (height, width, 4), np.uint8)
    levels: list[list[int]] = [[0], [0, 255], [0, 1], [254, 255], [*range(256)]]
    pixels[..., 3] = random.choice(levels[random.integers(len(levels))], (height, width))
    image = Image.fromarray(pixels)
    match random.integers(6):
        case 0:
            return encoded(image.convert("L"), transparency=int(random.integers(256)))
        case 1:
            few = image.quantize(int(random.integers(2, 64)))
            return encoded(few, transparency=random.integers(0, 256, random.integers(1, 64), np.uint8).tobytes())
        case 2:
            return encoded(image.convert("LA"))
        case 3:
            return encoded(image, "webp", lossless=True)
        case 4:
            return encoded(image, "gif")
    return encoded(image, "tiff")


SHAPES = [Shape(size, channels, fit) for size in (8, 32) for channels in (1, 3, 4) for fit in ("crop", "squash")]


@pytest.mark.parametrize("seed", range(40))
def test_odd_transparent_images_are_pixels_or_one_line(seed: int) -> None:
    random = np.random.default_rng(seed)
    content, damaged = bytearray(odd_file(random)), seed % 3 == 2
    if damaged:  # some bytes are not what they were
        for place in random.integers(len(content) // 4, len(content), 6):
            content[place] = random.integers(256)
    said = []
    for shape in SHAPES:
        try:
            pixels = decoded(bytes(content), shape)
        except Unreadable as error:
            said.append(str(error))
            continue
        assert pixels.shape == (shape.image_size, shape.image_size, shape.channels)
        assert pixels.dtype == np.uint8
    assert damaged or not said
    assert not any("\n" in line for line in said)
