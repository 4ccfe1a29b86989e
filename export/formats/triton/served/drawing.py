"""Seeds to a generator's inputs, and its images to pixels and PNG files, with numpy alone.

N images of C channels (1: grey, 3: RGB, 4: RGBA), H × W pixels, from latents of Z values.
"""

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from wgan.serve.latents.table import Float, latents_of
from wgan.serve.latents.truncation import KINDS, Truncation
from wgan.serve.outputs.levels import Pixels, to_uint8

Labels = NDArray[np.int64]

_COLOURS = {1: 0, 3: 2, 4: 6}  # channels → PNG's colour type
_UP = 2  # PNG's filter: a row less the one above it


def latents_for(seeds: Labels, dim: int, truncation: NDArray[np.float32] | None, kind: str | None) -> Float:
    """The latents of ``seeds`` (N,), float32 (N, dim), with the bits of `wgan sample`.

    Args:
        seeds: int64 (N,).
        dim: Z.
        truncation: (N,), all the same, or None for none. It means the shortest decimal number that float32 stores as
            it: 0.7 is the 0.7 of `--truncation 0.7`.
        kind: of the truncation; None for the first of `KINDS`.

    Raises:
        ConfigError: a seed, a truncation or a kind that there is not.
        ValueError: more than one truncation; each that is new takes its time.
    """
    z = latents_of(seeds, dim)
    if truncation is None or not len(seeds):
        return z
    if len(np.unique(truncation)) > 1:  # NaN is one value
        raise ValueError("truncation is to be the same for all images of a request")
    return Truncation(float(str(truncation[0])), KINDS[0] if kind is None else kind)(z)


def labels_for(seeds: Labels, classes: int, labels: Labels | None) -> Labels | None:
    """The class of each image, int64 (N,): as asked for, or of seed s the class s mod ``classes``, as in `wgan sample`.

    None without classes. Raises ValueError for a class that there is not.
    """
    if not classes:
        return None
    if labels is None:
        return seeds % classes
    if len(labels) and not (labels.min() >= 0 and labels.max() < classes):
        raise ValueError(f"label is outside its range, 0 to {classes - 1}")
    return labels


def pixels_of(images: NDArray[np.float32] | Pixels) -> Pixels:
    """8-bit pixels (N, H, W, C) of what a generator gives. Raises BackendError for NaN and infinity."""
    return images if images.dtype == np.uint8 else to_uint8(images)  # type: ignore[return-value, arg-type]


def png_of(image: Pixels) -> bytes:
    """The PNG file of one uint8 (H, W, C)."""
    height, width, channels = image.shape
    rows = image.reshape(height, width * channels)
    lines = np.empty((height, 1 + rows.shape[1]), np.uint8)
    lines[:, 0] = _UP
    lines[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=lines[1:, 1:])
    head = struct.pack(">IIBBBBB", width, height, 8, _COLOURS[channels], 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(lines.data, 1)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    )
