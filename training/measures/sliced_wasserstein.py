"""Sliced Wasserstein distance on Laplacian-pyramid patches (Karras et al. 2018, section 5): no weights.

Each level of the pyramid holds one band of spatial frequencies, so the level that is far from the real
images says what is wrong: 16 the overall layout and colours, the finest the edges and the noise.
Descriptors are normalised for each set, as in the paper: a contrast or a tint that all images of a set
share is not seen. Transparent images are compared premultiplied, all four channels: see `transparency`.

Shapes: N images, H W C pixels, P patches an image, F = C·7·7 values of a descriptor.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from wgan.training.measures.transparency import premultiplied

PATCH = 7  # pixels
COARSEST = 16  # pixels
DIRECTIONS, REPEATS = 128, 4  # 512 slices, in portions that bound the memory
_CHUNK = 128  # images in one piece of the pyramid
_FLAT = 1e-4  # of a range of 2: less deviation than this is rounding, not content

Images = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class SlicedWasserstein:
    """Distances x 1000 by the resolution of their level, finest first."""

    levels: dict[int, float]

    @property
    def mean(self) -> float:
        """The average over the levels."""
        return fmean(self.levels.values())


def resolutions(size: int) -> list[int]:
    """The levels of an image ``size`` pixels wide: halved down to 16, or as far as it halves evenly."""
    levels = [size]
    while levels[-1] % 2 == 0 and levels[-1] // 2 >= COARSEST:
        levels.append(levels[-1] // 2)
    return levels


def sliced_wasserstein(
    real: Images,
    fake: Images,
    *,
    seed: int = 0,
    patches: int = 128,
    max_descriptors: int = 16_384,
    device: torch.device | str = "cpu",
) -> SlicedWasserstein:
    """The distance of two sets of images, at each level of their Laplacian pyramids.

    It depends on the sets and on ``seed``, not on the order of the images. Two samples of one
    distribution are not at zero: measure real against real for the floor. It falls as sets grow, so
    compare only distances of sets of the same size.

    Args:
        real: uint8 (N, H, W, C), H = W ≥ 7, C 1, 3, or 4 (straight RGBA).
        fake: as ``real``; its N may differ, then quantiles are interpolated.
        seed: of the patches' places and of the directions.
        patches: P, as in the paper; lowered where ``max_descriptors`` is reached.
        max_descriptors: bounds time and memory: N·P stays below, but for one patch an image.
        device: where to compute.

    Raises:
        ValueError: the arrays are not such images, or of different sizes.
    """
    _check(real, fake)
    count = max(len(real), len(fake))
    places = max(1, min(patches, max_descriptors // count))
    sets = [_in_content_order(premultiplied(images)) for images in (real, fake)]
    generator = torch.Generator().manual_seed(seed)
    size, channels = real.shape[1], real.shape[3]

    # one table of places for both sets: equal sets give equal descriptors
    corners = [torch.randint(level - PATCH + 1, (count, places, 2), generator=generator) for level in resolutions(size)]
    slices = torch.randn(REPEATS, DIRECTIONS, channels * PATCH * PATCH, generator=generator)
    slices = F.normalize(slices, dim=2).to(device)
    a, b = (_descriptors(images, corners, device) for images in sets)
    distances = (_distance(a[i], b[i], slices) for i in range(len(corners)))
    return SlicedWasserstein(
        {level: 1e3 * distance for level, distance in zip(resolutions(size), distances, strict=True)}
    )


def _check(real: Images, fake: Images) -> None:
    for images in (real, fake):
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3, 4) or not len(images):
            raise ValueError(f"expected uint8 (N, H, W, 1, 3 or 4), got {images.dtype} {images.shape}")
        if images.shape[1] != images.shape[2] or images.shape[1] < PATCH:
            raise ValueError(f"expected square images of at least {PATCH} pixels, got {images.shape}")
    if real.shape[1:] != fake.shape[1:]:
        raise ValueError(f"sets of different images: {real.shape[1:]} and {fake.shape[1:]}")


def _in_content_order(images: Images) -> Images:
    digests = [hashlib.blake2b(image.tobytes(), digest_size=8).digest() for image in images]
    return images.take(sorted(range(len(images)), key=digests.__getitem__), axis=0)


def _descriptors(images: Images, corners: list[Tensor], device: torch.device | str) -> list[Tensor]:
    """Normalised patches (N·P, F) of every level, for places ``corners`` (≥N, P, 2) of each level."""
    levels: list[list[Tensor]] = [[] for _ in corners]
    for start in range(0, len(images), _CHUNK):
        chunk = torch.from_numpy(images[start : start + _CHUNK]).to(device)
        pixels = chunk.permute(0, 3, 1, 2).float() / 127.5 - 1
        for i, band in enumerate(laplacian_pyramid(pixels, len(corners))):
            levels[i].append(_patches(band, corners[i][start : start + len(chunk)].to(device)))
    return [_normalised(torch.cat(level)) for level in levels]


def laplacian_pyramid(images: Tensor, levels: int) -> Iterator[Tensor]:
    """Bands of (N, C, H, W), finest first; the last is what is left (Burt and Adelson 1983)."""
    for _ in range(levels - 1):
        smaller = _blur(images)[:, :, ::2, ::2]
        yield images - _doubled(smaller)
        images = smaller
    yield images


def _blur(images: Tensor) -> Tensor:
    """Binomial filter (1, 4, 6, 4, 1)/16 along both axes; shifted sums are faster than a convolution here."""
    for dim, pad in ((2, (0, 0, 2, 2)), (3, (2, 2, 0, 0))):
        size, wide = images.shape[dim], F.pad(images, pad, mode="reflect")
        a, b, c, d, e = (wide.narrow(dim, i, size) for i in range(5))
        images = (a + e).add_(b + d, alpha=4).add_(c, alpha=6).div_(16)
    return images


def _doubled(images: Tensor) -> Tensor:
    n, c, h, w = images.shape
    spread = images.new_zeros(n, c, 2 * h, 2 * w)
    spread[:, :, ::2, ::2] = 4 * images  # the zeros between take three quarters of the mass
    return _blur(spread)


def _patches(band: Tensor, corners: Tensor) -> Tensor:
    """The patches (N, P, C, 7, 7) of ``band`` (N, C, H, W) whose top left are ``corners`` (N, P, 2)."""
    windows = band.unfold(2, PATCH, 1).unfold(3, PATCH, 1)  # (N, C, H-6, W-6, 7, 7), a view
    image = torch.arange(len(band), device=band.device)[:, None]  # (N, 1)
    return windows[image, :, corners[..., 0], corners[..., 1]]


def _normalised(patches: Tensor) -> Tensor:
    flat = patches.flatten(0, 1)  # (N·P, C, 7, 7)
    deviation, mean = torch.std_mean(flat, dim=(0, 2, 3), keepdim=True, correction=0)
    return ((flat - mean) / deviation.clamp_min(_FLAT)).flatten(1)


def _distance(a: Tensor, b: Tensor, slices: Tensor) -> float:
    """Mean over the directions of the 1-Wasserstein distance of the projections."""
    total = 0.0
    for directions in slices:  # (128, F)
        x, y = (_sorted(directions @ descriptors.T) for descriptors in (a, b))  # (128, N·P)
        count = min(x.shape[1], y.shape[1])
        total += (quantiles(x, count) - quantiles(y, count)).abs().mean().item()
    return total / len(slices)


def _sorted(values: Tensor) -> Tensor:
    if values.device.type == "cpu":  # NumPy's vectorised sort is faster here
        array: npt.NDArray[Any] = np.sort(values.numpy(), axis=1)
        return torch.from_numpy(array)
    return values.sort(dim=1).values


def quantiles(ordered: Tensor, count: int) -> Tensor:
    """``count`` evenly spread quantiles of each row of ``ordered`` (D, M), M ≥ count."""
    if ordered.shape[1] == count:
        return ordered
    return F.interpolate(ordered[None], size=count, mode="linear", align_corners=False)[0]
