"""How a picture that wgan made is known again wherever it lies: by the text that its file carries."""

import re
from collections.abc import Mapping
from typing import Any, BinaryIO

from PIL import Image

UNITS = ("seed", "row", "frame")  # what images are numbered by
MARKED = (".png", ".gif", ".webp")  # endings of the files that can carry the text
IMAGES = (  # of all that may be an image
    *(".apng", ".avif", ".bmp", ".dib", ".gif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg"),
    *(".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tga", ".tif", ".tiff", ".webp"),
)
_NUMBERS = re.compile(r"[0-9]+(\.\.[0-9]+)?")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_FILM = re.compile(rb"\bmodel: [0-9a-f]{64}(?![0-9a-f])")


def marked(image: Image.Image) -> bool:
    """Whether it is a picture of `wgan sample` or one that a run wrote: its pixels need not be decoded.

    Of PNG files text chunks say so, of GIF the comment, of WebP the Exif description.
    """
    info = image.info
    if image.format == "PNG":
        step = _NUMBERS.fullmatch(str(info.get("step")))  # a run's own pictures are of no artifact, but of a step
        known = step or _DIGEST.fullmatch(str(info.get("model")))
        keys = (key for unit in UNITS for key in (unit, f"{unit}s"))
        numbered = any(_NUMBERS.fullmatch(str(info.get(key))) for key in keys)
        return bool(known and numbered) or bool(step and "shows" in info)
    text = info.get({"GIF": "comment", "WEBP": "exif"}.get(image.format or "", ""))
    return isinstance(text, bytes) and _FILM.search(text) is not None


def read_marks(file: BinaryIO) -> Mapping[str | tuple[int, int], Any] | None:
    """Pillow's ``info`` of a picture that wgan made; None of any other file. Its pixels are not decoded."""
    from PIL import GifImagePlugin, PngImagePlugin, WebPImagePlugin  # here: not every start needs them

    readers = PngImagePlugin.PngImageFile, GifImagePlugin.GifImageFile, WebPImagePlugin.WebPImageFile
    for reader in readers:  # not Image.open, which refuses pages of many pixels
        file.seek(0)
        try:
            with reader(file) as image:
                return image.info if marked(image) else None
        except Exception:  # another format, or broken: each fails in its own way
            continue
    return None
