"""The PNG file of an image (the specification is W3C's, third edition), compressed by libdeflate.

Every row has filter Up, the difference to the row above it. Of libdeflate's levels the first is both the fastest and
the smallest on generated images: a face of 64 × 64 pixels takes 81 µs and 9.0 kB, where Pillow with zlib takes
350 µs and 8.5 kB. It compresses outside the interpreter's lock, so threads add up.

One image is the same file on every CPU: libdeflate 1.25 chooses by CPU how it computes checksums and clears tables, and
nothing else. Built for the baseline, for AVX-512 and without unaligned reads it gave the bytes of its wheel. Another
version may give others (`WRITER` names it): a test holds the digest of some.
"""

import struct
from collections.abc import Iterator, Mapping
from functools import lru_cache

import deflate
import numpy as np
from numpy.typing import NDArray

WRITER = f"up, libdeflate of deflate {deflate.__version__}"  # what else than image and text the bytes depend on

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEAD = struct.Struct(">IIBBBBB")  # width, height, bits, colour type, compression, filter, interlace
_NUMBER = struct.Struct(">I")
_COLOUR = {1: 0, 3: 2, 4: 6}  # the type of C channels: grey, RGB, RGBA
_UP = 2
_LEVEL = 1
_LONGEST = 2**30  # bytes in a chunk of pixels; the format ends at 2^31 - 1


def png(image: NDArray[np.uint8], text: Mapping[str, str]) -> bytes:
    """The file of one uint8 (H, W, C), C of 1, 3 or 4, with ``text`` before the pixels.

    A text is stored as Latin-1 where it can be (tEXt), else as UTF-8 (iTXt). Memory beside the image: once the image,
    and twice the file. Raises ValueError for another array.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or 0 in image.shape or image.shape[2] not in _COLOUR:
        raise ValueError(f"{image.dtype} {image.shape} is not a uint8 image (H, W, C) of 1, 3 or 4 channels")
    height, width, channels = image.shape
    parts = [_SIGNATURE, *_chunk(b"IHDR", _HEAD.pack(width, height, 8, _COLOUR[channels], 0, 0, 0))]
    for key, value in text.items():
        parts += _text(key, value) if value.isdecimal() else _kept(key, value)
    pixels = memoryview(deflate.zlib_compress(_filtered(image), _LEVEL))
    for start in range(0, len(pixels), _LONGEST):
        parts += _chunk(b"IDAT", pixels[start : start + _LONGEST])
    parts += _chunk(b"IEND", b"")
    return b"".join(parts)


def _filtered(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The rows under filter Up, each after its filter's number: uint8 (H, 1 + W·C)."""
    height, width, channels = image.shape
    filtered = np.empty((height, 1 + width * channels), np.uint8)
    filtered[:, 0] = _UP
    rows = filtered[:, 1:].reshape(image.shape)  # a view
    rows[0] = image[0]
    np.subtract(image[1:], image[:-1], out=rows[1:])  # modulo 256
    return filtered


def _text(key: str, value: str) -> Iterator[bytes | memoryview]:
    name = key.encode("latin-1")
    try:
        return _chunk(b"tEXt", name + b"\0" + value.encode("latin-1"))
    except UnicodeEncodeError:
        # not compressed, of no language, its key not translated
        return _chunk(b"iTXt", name + bytes(5) + value.encode("utf-8"))


@lru_cache(maxsize=64)
def _kept(key: str, value: str) -> tuple[bytes, ...]:
    """`_text` of what many images have in common."""
    return (b"".join(_text(key, value)),)


def _chunk(kind: bytes, data: bytes | memoryview) -> Iterator[bytes | memoryview]:
    yield _NUMBER.pack(len(data))
    yield kind
    yield data
    yield _NUMBER.pack(deflate.crc32(data, deflate.crc32(kind)))
