"""Transparent images: laid on a colour, or kept as straight RGBA.

Straight means that a pixel's colour is not multiplied by its alpha, as in a PNG. The colour of a pixel that cannot be
seen at all is anybody's guess in files, often noise: here it goes on from the visible pixels around it.

Shapes: S × S pixels; H × W before resizing.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Colour = tuple[int, int, int]
Box = tuple[float, float, float, float]  # left, top, right, bottom

NOWHERE = 128.0  # colour of an image without a visible pixel: grey, in the middle
PRECISE = 1024  # pixels: a longer side may first be averaged in 8 bits, which bounds the memory
_LEVELS = {"L;2": 85, "L;4": 17}  # how Pillow stretches a PNG's few levels of grey to 256


def set_key_right(image: Image.Image) -> None:
    """Puts a PNG's transparent colour, which Pillow leaves as it is in the file, into the units of its pixels.

    ``image`` is open and not loaded yet.
    """
    tiles = getattr(image, "tile", [])  # what a file has, and an image in memory has not
    key, raw = image.info.get("transparency"), tiles[0][3] if tiles else None
    if isinstance(key, int) and raw in _LEVELS:
        image.info["transparency"] = key * _LEVELS[raw]
    elif isinstance(key, tuple) and raw == "RGB;16B":
        image.info["transparency"] = tuple(level >> 8 for level in key)


def laid_on(layer: Image.Image, background: Colour) -> Image.Image:
    """An RGBA image on a ground of one colour, as RGBA without transparency."""
    return Image.alpha_composite(Image.new("RGBA", layer.size, (*background, 255)), layer)


def resized(layer: Image.Image, size: int, box: Box | None) -> NDArray[np.uint8]:
    """The part ``box`` of an RGBA image, or all of it, as straight uint8 (size, size, 4).

    Colours count by their alpha, as in premultiplied pixels, in float32: none bleeds in from where nothing is seen.
    """
    if layer.getchannel("A").getextrema()[0] == 255:
        return np.asarray(layer.resize((size, size), Image.Resampling.BILINEAR, box=box))
    left, top, right, bottom = box or (0, 0, *layer.size)
    factor = int(min(right - left, bottom - top) // max(PRECISE, 4 * size))
    if factor > 1:
        layer, box = layer.reduce(factor), (left / factor, top / factor, right / factor, bottom / factor)
    pixels = np.asarray(layer)
    alpha = pixels[..., 3].astype(np.float32)

    def smaller(plane: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(Image.fromarray(plane).resize((size, size), Image.Resampling.BILINEAR, box=box))

    weight = smaller(alpha)
    premultiplied = np.stack([smaller(pixels[..., c] * alpha) for c in range(3)], axis=-1)
    level = np.rint(weight)
    seen = np.where(level > 0, weight, np.float32(0))
    colour = (premultiplied / np.maximum(weight, 1e-6)[..., None]).astype(np.float32)
    colour = _continued(colour, seen)
    straight: NDArray[np.uint8] = np.rint(np.concatenate([colour, level[..., None]], axis=-1)).astype(np.uint8)
    return straight


def _continued(colour: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Colours (S, S, 3) as they are where ``weight`` (S, S) is above 0, elsewhere a smooth continuation of them.

    Each level of a pyramid takes what it lacks from the next coarser one (pull and push, Gortler et al. 1996).
    """
    size = len(weight)
    if size % 2:  # the coarsest level; of a power of two a single pixel
        total = weight.sum()
        mean = (colour * weight[..., None]).sum(axis=(0, 1)) / total if total > 0 else np.float32(NOWHERE)
        coarser = np.broadcast_to(mean, colour.shape)
    else:
        half = weight.reshape(size // 2, 2, size // 2, 2).mean(axis=(1, 3))
        sums = (colour * weight[..., None]).reshape(size // 2, 2, size // 2, 2, 3).mean(axis=(1, 3))
        coarser = _doubled(_doubled(_continued(sums / np.maximum(half, np.float32(1e-6))[..., None], half), 0), 1)
    return np.where(weight[..., None] > 0, colour, coarser).astype(np.float32)


def _doubled(values: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """Twice as long along an axis, bilinear."""
    values = np.moveaxis(values, axis, 0)
    before, after = np.concatenate([values[:1], values[:-1]]), np.concatenate([values[1:], values[-1:]])
    pairs = np.stack([0.75 * values + 0.25 * before, 0.75 * values + 0.25 * after], axis=1)
    return np.moveaxis(pairs.reshape(-1, *values.shape[1:]), 0, axis).astype(np.float32)
