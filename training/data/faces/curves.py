"""Curves: the outlines that the parts of a drawn face are made of, as arrays of points."""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]  # (k, 2)
Point = tuple[float, float]

FLIP = np.array([-1.0, 1.0])  # times this, points change sides
SIDES = np.stack([FLIP, np.ones(2)])  # times each of these, points lie on the left and on the right


@lru_cache(maxsize=64)
def _catmull_rom(count: int, closed: bool) -> NDArray[np.float64]:
    """Matrix from ``count`` control points to a smooth curve through them."""
    steps = 4  # what a corner costs is paid again in each row of pixels that the shape covers
    t = np.arange(steps)[:, None] / steps
    weights = 0.5 * np.hstack([-(t**3) + 2 * t**2 - t, 3 * t**3 - 5 * t**2 + 2, -3 * t**3 + 4 * t**2 + t, t**3 - t**2])
    segments = count if closed else count - 1
    basis = np.zeros((segments * steps + (not closed), count))
    for segment in range(segments):
        for tap in range(4):
            point = segment + tap - 1
            point = point % count if closed else min(max(point, 0), count - 1)
            basis[segment * steps : (segment + 1) * steps, point] += weights[:, tap]
    if not closed:
        basis[-1, -1] = 1
    return basis


def curve(points: Sequence[Point] | Points, closed: bool = False) -> Points:
    """A smooth curve through all the points."""
    smooth: Points = _catmull_rom(len(points), closed) @ np.array(points)
    return smooth


def _bezier(count: int) -> NDArray[np.float64]:
    """Matrix from start, pull and end to ``count`` points of a quadratic Bézier curve."""
    t = np.linspace(0, 1, count)
    return np.stack([(1 - t) ** 2, 2 * t * (1 - t), t**2], axis=1)


_BEND, _SHORT_BEND = _bezier(7), _bezier(5)
_ANGLES = np.linspace(0, 2 * math.pi, 24, endpoint=False)
CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)


def bend(start: Point, pull: Point, end: Point) -> Points:
    """A quadratic Bézier curve: from start to end, pulled towards a third point."""
    bent: Points = _BEND @ np.array((start, pull, end))
    return bent


def bends(starts: Points, pulls: Points, ends: Points) -> NDArray[np.float64]:
    """Many short or nearly straight bends at once: three times (n, 2) → (n, 5, 2)."""
    bent: NDArray[np.float64] = _SHORT_BEND @ np.stack((starts, pulls, ends), axis=1)
    return bent


def outline(x: NDArray[np.float64], y: NDArray[np.float64]) -> Points:
    """Points from their coordinates."""
    points = np.empty((len(x), 2))  # np.stack takes five times as long
    points[:, 0], points[:, 1] = x, y
    return points


def ellipse(x: float, y: float, rx: float, ry: float) -> Points:
    """The outline of an ellipse."""
    points: Points = CIRCLE * (rx, ry) + (x, y)
    return points


def mirrored(points: Points) -> Points:
    """The other side of a symmetric outline, in the order that continues it."""
    other: Points = points[::-1] * FLIP
    return other
