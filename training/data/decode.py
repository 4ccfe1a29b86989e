"""One image file to one square of 8-bit pixels."""

import io
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from wgan.serve.outputs.marks import marked, read_marks
from wgan.training.data.transparency import Colour, laid_on, resized, set_key_right

MAX_PIXELS = 89_478_485  # Pillow's own mark of a decompression bomb: a quarter of a gigabyte as RGB
MODES = {1: "L", 3: "RGB", 4: "RGBA"}
_ORIENTATION = 0x0112  # EXIF tag
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Shape:
    """What every image becomes."""

    image_size: int
    channels: int  # 1, 3, or 4: straight RGBA
    fit: str  # `crop` keeps the aspect and takes the middle square, `squash` takes it all
    background: Colour = (255, 255, 255)  # what transparency is laid on; with 4 channels it is kept


class Unreadable(Exception):
    """An image that cannot be used; the text says why."""


class Generated(Unreadable):
    """A picture that wgan made."""

    def __init__(self) -> None:
        super().__init__("a picture that wgan made")


def decode(file: BinaryIO, shape: Shape) -> NDArray[np.uint8]:
    """The first frame of an image file as uint8 (image_size, image_size, channels).

    Transparency is laid on the background, or kept as straight RGBA (`transparency.resized`). EXIF rotation is
    applied; colour profiles are not.

    Raises:
        Unreadable: the file is no image, is damaged, or holds too many pixels.
        Generated: it is a picture that wgan made.
    """
    size = shape.image_size
    try:
        with Image.open(file) as image:
            if marked(image):
                raise Generated
            if image.width * image.height > MAX_PIXELS:
                raise Unreadable(f"{image.width} x {image.height} pixels: a decompression bomb")
            # JPEG can decode at 1/2, 1/4, 1/8: at least twice the target stays for the resize below
            image.draft(None, (2 * size, 2 * size))
            set_key_right(image)
            image.load()
            turn = _UPRIGHT.get(_orientation(image))
            plain = to_eight_bits(image, MODES[shape.channels], shape.background)
        if turn is not None:
            plain = plain.transpose(turn)
        width, height = plain.size
        box = None
        if shape.fit == "crop":
            side = min(width, height)
            left, top = (width - side) / 2, (height - side) / 2
            box = (left, top, left + side, top + side)
        if plain.mode == "RGBA":
            return resized(plain, size, box)
        # torchvision's default on Pillow images: bilinear over the whole footprint of a pixel
        plain = plain.resize((size, size), Image.Resampling.BILINEAR, box=box)
    except Unreadable:
        raise
    except Image.DecompressionBombError:
        if read_marks(file) is not None:  # a page of many images
            raise Generated from None
        raise Unreadable("a decompression bomb") from None
    except UnidentifiedImageError:
        empty = file.seek(0, io.SEEK_END) == 0
        raise Unreadable("an empty file" if empty else "not an image that can be read") from None
    except Exception as error:  # Pillow's plugins let through whatever broken bytes make them raise
        raise Unreadable(" ".join(str(error).split()) or type(error).__name__) from error
    return np.asarray(plain).reshape(size, size, shape.channels)


def shorter_side(file: BinaryIO) -> int:
    """Of an image file, pixels; its pixels are not decoded. Raises `Unreadable`."""
    try:
        with Image.open(file) as image:
            return min(image.size)
    except Exception as error:
        raise Unreadable(" ".join(str(error).split()) or type(error).__name__) from None


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # EXIF that cannot be read turns nothing
        return 1


def to_eight_bits(image: Image.Image, mode: str, background: Colour) -> Image.Image:
    """Any of Pillow's modes as `L`, `RGB` or `RGBA`; transparency stays, or is laid on the background.

    16-bit grey is scaled, not clipped. Other whole numbers beyond 16 bits are stretched from their least
    to their greatest. Floats are taken as 0 to 1, else as 0 to 255, else stretched.
    """
    if image.mode.startswith("I") or image.mode == "F":
        levels, key = np.asarray(image), image.info.get("transparency")
        image = Image.fromarray(_scaled(levels))
        if isinstance(key, int):
            image.putalpha(Image.fromarray(np.where(levels == key, 0, 255).astype(np.uint8)))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = image if mode == "RGBA" else laid_on(image, background)
    return image if image.mode == mode else image.convert("RGB").convert(mode)


def _scaled(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Deep grey levels (H, W) as 8 bits."""
    levels = values.astype(np.float32)
    low, high = float(levels.min()), float(levels.max())
    if not np.isfinite([low, high]).all():
        raise Unreadable("pixels that are not finite numbers")
    known = [1.0, 255.0] if values.dtype.kind == "f" else [65535.0]
    top = next((top for top in known if low >= 0 and high <= top), None)
    if top is None:
        levels, top = levels - low, high - low
    scaled: NDArray[np.uint8] = np.rint(levels * (255 / top)).astype(np.uint8)
    return scaled
