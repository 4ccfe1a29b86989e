"""8-bit levels of a generator's float images: the rule, with numpy alone, for whatever else makes pixels by it.

N images, C channels, H × W pixels.
"""

import math

import numpy as np
from numpy.typing import NDArray

from wgan.serve.base.errors import BackendError

Pixels = NDArray[np.uint8]

_BLOCK = 2**17  # values made 8 bits at a time: measured, few calls, and buffers that stay in the cache


def to_uint8(images: NDArray[np.float32]) -> Pixels:
    """Map float32 (N, C, H, W) in [-1, 1] to uint8 (N, H, W, C): (x + 1) · 127.5, a half to the even level.

    Values outside are clipped. Raises BackendError for NaN or infinity.
    """
    count, channels, height, width = images.shape
    shape = channels, height * width
    pixels = np.empty((count, *shape[::-1]), np.uint8)
    step = max(1, _BLOCK // max(1, math.prod(shape)))
    buffer = np.empty((min(step, count), *shape), np.float32)
    levels = np.empty(buffer.shape, np.uint8)
    for start in range(0, count, step):
        part = images[start : start + step]
        end = start + len(part)
        flat, x, planes = part.reshape(len(part), *shape), buffer[: len(part)], levels[: len(part)]
        if not (finite := np.isfinite(flat)).all():
            bad = start + int(np.argmin(finite.all(axis=(1, 2))))
            raise BackendError(
                f"the generator produced NaN or Inf in image {bad} of a batch of {count}: "
                "try fp32 precision, or another checkpoint"
            )
        np.add(flat, np.float32(1), out=x)
        np.multiply(x, np.float32(127.5), out=x)
        np.rint(x, out=x)
        np.clip(x, 0, 255, out=x)
        np.copyto(planes, x, casting="unsafe")
        for c in range(channels):  # faster than transposing at once
            pixels[start:end, :, c] = planes[:, c]
    return pixels.reshape(count, height, width, channels)
