"""Pixels: from a generator's float images to 8 bits, to one page of many, to Pillow, to PNG files.

N images, C channels (1 or 3), H × W pixels.
"""

import math
import struct
import zlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from wgan.serve.errors import BackendError

Pixels = NDArray[np.uint8]

BACKGROUND = 255  # of a grid: white

_COLOR_TYPE = {1: 0, 3: 2}  # PNG's numbers for grey and RGB, by channels
_UP = 2  # PNG's number of the row filter


def to_uint8(images: NDArray[np.float32]) -> Pixels:
    """Map float32 (N, C, H, W) in [-1, 1] to uint8 (N, H, W, C): (x + 1) · 127.5, a half to the even level.

    Values outside are clipped. Raises BackendError for NaN or infinity.
    """
    count, channels, height, width = images.shape
    pixels = np.empty((count, height * width, channels), np.uint8)
    x = np.empty((channels, height * width), np.float32)
    planes = np.empty(x.shape, np.uint8)
    for i, image in enumerate(images):  # an image at a time stays in the cache
        flat = image.reshape(channels, -1)
        if not np.isfinite(flat).all():
            raise BackendError(
                f"the generator produced NaN or Inf in image {i} of a batch of {count}: "
                "try fp32 precision, or another checkpoint"
            )
        np.add(flat, np.float32(1), out=x)
        np.multiply(x, np.float32(127.5), out=x)
        np.rint(x, out=x)
        np.clip(x, 0, 255, out=x)
        np.copyto(planes, x, casting="unsafe")
        for c in range(channels):  # faster than transposing at once
            pixels[i, :, c] = planes[c]
    return pixels.reshape(count, height, width, channels)


def grid(images: Pixels, columns: int | None = None, pad: int = 2) -> Pixels:
    """Lay uint8 (N, H, W, C) out in rows on one uint8 (H', W', C), ``pad`` pixels of background around each.

    Nearly square unless ``columns`` is given. The last row is filled up with background.
    """
    count, height, width, channels = images.shape
    columns = columns or max(1, math.isqrt(max(0, count - 1)) + 1)
    rows = -(-count // columns)
    page = np.full(
        (pad + rows * (height + pad), pad + columns * (width + pad), channels), BACKGROUND, np.uint8
    )
    for i, image in enumerate(images):
        y = pad + i // columns * (height + pad)
        x = pad + i % columns * (width + pad)
        page[y : y + height, x : x + width] = image
    return page


def to_pil(image: Pixels) -> Image.Image:
    """One uint8 (H, W, C) as a Pillow image: mode L for C = 1, RGB for C = 3."""
    return Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)


def encode_png(image: NDArray[np.uint8], text: Mapping[str, str] | None = None) -> bytes:
    """The PNG file of one uint8 (H, W, C) image, C 1 or 3, with ``text`` as its text chunks.

    Written for many small images, with every row filtered by "up" (less the row above) and deflated by run
    lengths alone: on 64 × 64 faces twice the rate of Pillow's fastest setting and 4 to 5 times its default's, for
    files 4 to 19% larger than the default's. zlib works outside the interpreter's lock, so threads add up.
    Format: PNG specification, third edition (W3C 2025). Equal bytes are promised for one build of zlib only.
    """
    height, width, channels = image.shape
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOR_TYPE[channels], 0, 0, 0)
    rows = image.reshape(height, width * channels)
    filtered = np.empty((height, 1 + width * channels), np.uint8)
    filtered[:, 0] = _UP
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    deflate = zlib.compressobj(level=1, strategy=zlib.Z_RLE)
    data = deflate.compress(filtered.data) + deflate.flush()
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", header),
            *(_text_chunk(key, value) for key, value in (text or {}).items()),
            _chunk(b"IDAT", data),
            _chunk(b"IEND", b""),
        ]
    )


def _text_chunk(key: str, value: str) -> bytes:
    keyword = key.encode("latin-1") + b"\0"
    try:
        return _chunk(b"tEXt", keyword + value.encode("latin-1"))
    except UnicodeEncodeError:  # iTXt: not compressed, no language, no translated keyword
        return _chunk(b"iTXt", keyword + b"\0\0\0\0" + value.encode())


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))
