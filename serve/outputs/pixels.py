"""Pixels: from a generator's float images to 8 bits, to one page of many, and to Pillow.

N images, C channels (1: grey, 3: RGB, 4: straight RGBA, whose colours are not multiplied by alpha), H × W pixels.
"""

import math
from collections.abc import Mapping

import numpy as np
from PIL import Image

from wgan.serve.outputs.levels import Pixels as Pixels  # `as`: for those who import it from here
from wgan.serve.outputs.levels import to_uint8 as to_uint8
from wgan.serve.outputs.png import png

BACKGROUND = 255  # of a grid: white
CHECKS = (255, 204)  # the two greys on which transparent images are shown
CHECK = 8  # pixels of a square; fewer on images below 64


def as_pixels(images: np.ndarray) -> Pixels:
    """`to_uint8`, or a copy of images that their generator has already made pixels of."""
    return images.copy() if images.dtype == np.uint8 else to_uint8(images)


def grid(images: Pixels, columns: int | None = None, pad: int = 2) -> Pixels:
    """Lay uint8 (N, H, W, C) out in rows on one uint8 (H', W', C), ``pad`` pixels of background around each.

    Nearly square unless ``columns`` is given. The last row is filled up with background. A page is to be looked at:
    transparent images lie on a checkerboard there, and C becomes 3.
    """
    images = checkered(images)
    count, height, width, channels = images.shape
    columns = columns or max(1, math.isqrt(max(0, count - 1)) + 1)
    rows = -(-count // columns)
    page = np.full((pad + rows * (height + pad), pad + columns * (width + pad), channels), BACKGROUND, np.uint8)
    for i, image in enumerate(images):
        y = pad + i // columns * (height + pad)
        x = pad + i % columns * (width + pad)
        page[y : y + height, x : x + width] = image
    return page


def checkered(images: Pixels) -> Pixels:
    """Straight RGBA (…, H, W, 4) on a checkerboard, (…, H, W, 3); other images as they are."""
    if images.shape[-1] != 4:
        return images
    height, width = images.shape[-3:-1]
    square = min(CHECK, max(1, min(height, width) // 8))
    dark = (np.arange(height)[:, None] // square + np.arange(width) // square) % 2
    board = np.array(CHECKS, np.uint16)[dark][..., None]
    alpha = images[..., 3:].astype(np.uint16)
    laid: Pixels = ((images[..., :3] * alpha + board * (255 - alpha) + 127) // 255).astype(np.uint8)
    return laid


def to_pil(image: Pixels) -> Image.Image:
    """One uint8 (H, W, C) as a Pillow image: mode L for C = 1, RGB for C = 3, RGBA for C = 4."""
    return Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)


def encode_png(image: Pixels, text: Mapping[str, str] | None = None) -> bytes:
    """The PNG file of one uint8 (H, W, C), with ``text`` as its text chunks: see `png`."""
    return png(image, text or {})
