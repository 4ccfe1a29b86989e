"""How a picture that wgan made is known again wherever it lies: by the text that its file carries."""

import re
from collections.abc import Mapping
from typing import Any, BinaryIO

from PIL import GifImagePlugin, PngImagePlugin, WebPImagePlugin

UNITS = ("seed", "row", "frame")  # what images are numbered by
MARKED = (".png", ".gif", ".webp")  # endings of the files that can carry the text
IMAGES = (  # of all that may be an image
    *(".apng", ".avif", ".bmp", ".dib", ".gif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg"),
    *(".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tga", ".tif", ".tiff", ".webp"),
)
_NUMBERS = re.compile(r"[0-9]+(\.\.[0-9]+)?")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_FILM = re.compile(rb"\bmodel: [0-9a-f]{64}(?![0-9a-f])")
_READERS = (PngImagePlugin.PngImageFile, GifImagePlugin.GifImageFile, WebPImagePlugin.WebPImageFile)


def marked(info: Mapping[str | tuple[int, int], Any]) -> bool:
    """Whether ``info``, Pillow's of an opened file, is that of a picture of `wgan sample` or of a run's sample grid.

    Of PNG files text chunks say so, of GIF the comment, of WebP the Exif description.
    """
    if "model" in info:
        digest = info["model"]
        return isinstance(digest, str) and _DIGEST.fullmatch(digest) is not None and _numbered(info)
    if "step" in info:  # of a run's own grid, which is of no artifact
        return _NUMBERS.fullmatch(str(info["step"])) is not None and _numbered(info)
    return any(isinstance(info.get(key), bytes) and _FILM.search(info[key]) for key in ("comment", "exif"))


def _numbered(info: Mapping[str | tuple[int, int], Any]) -> bool:
    return any(_NUMBERS.fullmatch(str(info[key])) for unit in UNITS for key in (unit, f"{unit}s") if key in info)


def read_marks(file: BinaryIO) -> Mapping[str | tuple[int, int], Any] | None:
    """Pillow's ``info`` of a picture that wgan made; None of any other file. Its pixels are not decoded."""
    for reader in _READERS:  # not Image.open, which refuses pages of many pixels
        file.seek(0)
        try:
            info = reader(file).info
        except Exception:  # another format, or broken: each fails in its own way
            continue
        return info if marked(info) else None
    return None
