"""Pictures that a page carries. What was encoded once is kept: a page that is written again is quick."""

import base64
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import Image

from wgan.serve.page.html import download, text

FRAME = 640  # pixels: the longest side of a frame of the slider
EXACT = 400_000  # bytes: a larger picture is shown compressed, and saved as it is
LARGEST = 6_000_000  # bytes: a larger file does not come along at all
_KEPT = 512  # pictures: a few dozen megabytes
_Box = tuple[int, int, int, int]
_FAULTS = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)


@dataclass(frozen=True)
class Encoded:
    """A picture's bytes, their kind, and its sides in pixels."""

    content: bytes
    kind: str
    width: int
    height: int

    @property
    def uri(self) -> str:
        """All of it, as an address."""
        return f"data:image/{self.kind};base64,{base64.b64encode(self.content).decode()}"


def picture(path: Path, *, alt: str, caption: str, name: str = "") -> str:
    """The image file as a figure of the page, or nothing where it cannot be read.

    Args:
        path: an image of any format that Pillow reads.
        alt: what it shows.
        caption: the line beneath.
        name: with it a link saves the exact picture as a PNG of this name.
    """
    exact = encoded(path, kind="png")
    if exact is None:
        return ""
    shown = exact if len(exact.content) <= EXACT else encoded(path, kind="webp", quality=90)
    link = ""
    if name and len(exact.content) <= LARGEST:
        link = " " + download(name, "image/png", exact.content, "PNG")
    return _figure(shown or exact, alt, text(caption) + link)


def frame(path: Path, *, alt: str, caption: str, share: float, kind: str = "") -> str:
    """A figure that holds a whole grid, of which the strip shows ``share`` of the width, square, at the top left."""
    found = frame_of(path)
    if found is None:
        return ""
    part = 1 / min(1.0, share)
    return _figure(found, alt, text(caption), kind=kind, style=f"--across:{part:.3f}")


def frame_of(path: Path) -> Encoded | None:
    """A grid as a frame of the slider."""
    return encoded(path, kind="webp", most=FRAME, quality=75)


def cut(path: Path, boxes: Sequence[_Box], alt: str, *, exact: bool) -> str:
    """Some parts of a picture, equal in size and side by side, as one image; nothing where it cannot be read."""
    found = encoded(path, kind="png" if exact else "webp", boxes=tuple(boxes))
    return "" if found is None else _image(found, alt)


def width_of(path: Path) -> int | None:
    """Pixels, by the file's head; None where it cannot be read."""
    try:
        with Image.open(path) as opened:
            return opened.width
    except _FAULTS:
        return None


def encoded(
    path: Path, *, kind: str, most: int | None = None, quality: int = 80, boxes: tuple[_Box, ...] = ()
) -> Encoded | None:
    """The picture in ``path`` or its ``boxes`` in a row, at most ``most`` pixels wide and high; None where it fails."""
    try:
        about = path.stat()
        return _encoded(str(path), (about.st_size, about.st_mtime_ns), kind, most, quality, boxes)
    except _FAULTS:
        return None


@lru_cache(maxsize=_KEPT)
def _encoded(
    path: str, _: tuple[int, int], kind: str, most: int | None, quality: int, boxes: tuple[_Box, ...]
) -> Encoded:
    with Image.open(path) as opened:
        opened.load()
        image: Image.Image = opened if kind == "png" else opened.convert("RGB")
        if boxes:
            image = _joined(image, boxes)
        if most is not None:
            image.thumbnail((most, most))
        buffer = io.BytesIO()
        image.save(buffer, kind, **({} if kind == "png" else {"quality": quality, "method": 2}))
        return Encoded(buffer.getvalue(), kind, *image.size)


def _joined(image: Image.Image, boxes: Sequence[_Box]) -> Image.Image:
    gap = 2
    width, height = boxes[0][2] - boxes[0][0], boxes[0][3] - boxes[0][1]
    joined = Image.new("RGB", (len(boxes) * (width + gap) - gap, height), "white")
    for i, box in enumerate(boxes):
        joined.paste(image.crop(box).convert("RGB"), (i * (width + gap), 0))
    return joined


def _figure(found: Encoded, alt: str, caption: str, *, kind: str = "", style: str = "") -> str:
    attributes = (f' class="{kind}"' if kind else "") + (f' style="{style}"' if style else "")
    image = _image(found, alt)
    inside = f"<div>{image}</div>" if style else image
    return f"<figure{attributes}>{inside}<figcaption>{caption}</figcaption></figure>\n"


def _image(found: Encoded, alt: str) -> str:
    return f'<img src="{found.uri}" width="{found.width}" height="{found.height}" alt="{text(alt)}">'


def steps_in(folder: Path, name: str) -> list[tuple[int, Path]]:
    """The pictures `<name>-<step>.png` of a folder with their steps, in rising order."""
    pattern = re.compile(rf"{re.escape(name)}-(\d+)\.png")
    found = ((pattern.fullmatch(path.name), path) for path in folder.glob(f"{name}-*.png"))
    return sorted((int(match[1]), path) for match, path in found if match)
