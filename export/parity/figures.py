"""The figures of a parity report, gathered piece by piece, so that memory does not grow with the largest batch."""

import math

import numpy as np

from wgan.serve.outputs.pixels import as_pixels, to_uint8

PEAK = 2.0  # of images in [-1, 1]
LEVEL = PEAK / 255  # of 8-bit pixels, in the same units
SHARE = 0.999


class Figures:
    """How far images are from those that were wanted.

    Args:
        pixels: how many values there will be in all.
    """

    def __init__(self, pixels: int):
        self.finite = True
        self._position = SHARE * (pixels - 1)  # of the percentile among all errors in order
        self._largest = Largest(pixels - math.floor(self._position))
        self._pixels, self._sum, self._max, self._psnr = pixels, 0.0, 0.0, float("inf")
        self._differ = self._off = 0

    def add(self, images: np.ndarray, wanted: np.ndarray) -> None:
        """Counts images (N, …) in: ``wanted`` float32 in [-1, 1], ``images`` the same or pixels uint8 NHWC."""
        if not np.isfinite(images).all():
            self.finite = False
            images = np.nan_to_num(images, nan=PEAK, posinf=PEAK, neginf=-PEAK)
        levels = np.abs(as_pixels(images).astype(np.int16) - to_uint8(wanted))
        error = LEVEL * levels if images.dtype == np.uint8 else np.abs(images.astype(np.float64) - wanted)
        mean_square = np.square(error).mean(axis=(1, 2, 3))
        self._psnr = min(self._psnr, float((10 * np.log10(PEAK**2 / np.maximum(mean_square, 1e-20))).min()))
        self._differ += int((levels > 0).sum())
        self._off += int((levels > 1).sum())
        self._sum += float(error.sum())
        self._max = max(self._max, float(error.max()))
        self._largest.add(error.ravel())

    def report(self) -> dict[str, float | bool]:
        """The figures by their names, once all images have been counted."""
        low, *above = np.sort(self._largest.values())[:2]
        between = self._position - math.floor(self._position)
        return {
            "max_abs": self._max,
            "mean_abs": self._sum / self._pixels,
            "p999_abs": float(low + between * (above[0] - low) if above else low),
            "worst_psnr_db": self._psnr,
            "pixels_off": self._off / self._pixels,
            "pixels_differ": self._differ / self._pixels,
            "finite": self.finite,
        }


class Largest:
    """The ``count`` largest of values that come in pieces; about twice as many are kept."""

    def __init__(self, count: int):
        self._count = count
        self._kept = np.empty(0)
        self._least = -np.inf  # of the largest so far: what is below counts for nothing

    def add(self, values: np.ndarray) -> None:
        """Counts values (N,) in."""
        self._kept = np.concatenate([self._kept, values[values > self._least]])
        if len(self._kept) > 2 * self._count:
            self._kept = self.values()
            self._least = self._kept.min()

    def values(self) -> np.ndarray:
        """The largest, in no order; all of them where there are fewer."""
        if len(self._kept) <= self._count:
            return self._kept
        return np.partition(self._kept, -self._count)[-self._count :]
