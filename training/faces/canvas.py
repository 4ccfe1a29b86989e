"""Dice, colours, curves and a brush: what the parts of a drawn face are made with.

A face has its own coordinates: the origin between the eyes, x to the right, y down, one unit is
half the width of the head. The canvas turns them into pixels.
"""

import colorsys
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Points = NDArray[np.float64]  # (k, 2)
Colour = tuple[int, ...]  # RGB; RGBA where it is translucent
T = TypeVar("T")

WHITE: Colour = (255, 255, 255)
INK: Colour = (48, 26, 58)  # shadows lean to violet: black would look dirty


class Dice:
    """The random numbers of one face.

    Drawn from raw Philox words, which numpy promises never to change.
    """

    def __init__(self, index: int):
        words = np.random.Philox(key=index).random_raw(400)
        self._rolls = iter(((words >> np.uint64(11)) * 2.0**-53).tolist())

    def between(self, low: float, high: float) -> float:
        """A number in [low, high)."""
        roll: float = next(self._rolls)
        return low + (high - low) * roll

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self.between(0, 1) < probability

    def choice(self, options: Sequence[T]) -> T:
        """One of the options, each as likely as the next."""
        return options[int(self.between(0, len(options)))]


def hsv(hue: float, saturation: float, value: float) -> Colour:
    """RGB of a hue (in turns), saturation and value (0 to 1)."""
    return tuple(round(255 * part) for part in colorsys.hsv_to_rgb(hue % 1, saturation, value))


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """The first colour with a share (0 to 1) of the second."""
    (r, g, b), (R, G, B) = first, second
    return int(r + (R - r) * share), int(g + (G - g) * share), int(b + (B - b) * share)


def clear(colour: Colour, opacity: float) -> Colour:
    """The colour, translucent."""
    return (*colour, round(255 * opacity))


@lru_cache(maxsize=64)
def _catmull_rom(count: int, closed: bool) -> Points:
    """Matrix from ``count`` control points to a smooth curve through them."""
    steps = 6
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


def curve(points: Sequence[tuple[float, float]], closed: bool = False) -> Points:
    """A smooth curve through all the points."""
    smooth: Points = _catmull_rom(len(points), closed) @ np.array(points)
    return smooth


_T = np.linspace(0, 1, 7)
_BEZIER = np.stack([(1 - _T) ** 2, 2 * _T * (1 - _T), _T**2], axis=1)
_ANGLES = np.linspace(0, 2 * math.pi, 24, endpoint=False)
_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)


def bend(start: tuple[float, float], pull: tuple[float, float], end: tuple[float, float]) -> Points:
    """A quadratic Bézier curve: from start to end, pulled towards a third point."""
    bent: Points = _BEZIER @ np.array((start, pull, end))
    return bent


def outline(x: NDArray[np.float64], y: NDArray[np.float64]) -> Points:
    """Points from their coordinates."""
    points = np.empty((len(x), 2))  # np.stack takes five times as long, and a face has hundreds
    points[:, 0], points[:, 1] = x, y
    return points


def ellipse(x: float, y: float, rx: float, ry: float) -> Points:
    """The outline of an ellipse."""
    return _CIRCLE * (rx, ry) + (x, y)


def mirrored(points: Points) -> Points:
    """The other side of a symmetric outline, in the order that continues it."""
    return points[::-1] * (-1.0, 1.0)


class Canvas:
    """Draws on an image in the face's coordinates.

    x, y: where the origin lies, scale: the unit (shares of the canvas); tilt in radians.
    """

    def __init__(self, image: Image.Image, x: float, y: float, scale: float, tilt: float):
        side = image.width
        self.unit = scale * side  # pixels
        cos, sin = math.cos(tilt) * self.unit, math.sin(tilt) * self.unit
        self._turn = np.array([[cos, sin], [-sin, cos]])
        self._shift = np.array([x * side, y * side])
        self._opaque = ImageDraw.Draw(image)
        self._blend = ImageDraw.Draw(image, "RGBA")  # several times slower, so only where it is needed

    def fill(self, shape: Points, colour: Colour) -> None:
        """A filled shape."""
        brush = self._blend if len(colour) == 4 else self._opaque
        brush.polygon(self._pixels(shape), fill=colour)

    def stroke(self, line: Points, colour: Colour, width: float = 0.03) -> None:
        """A line of this width (units)."""
        brush = self._blend if len(colour) == 4 else self._opaque
        brush.line(self._pixels(line), fill=colour, width=max(1, round(width * self.unit)))

    def shape(self, shape: Points, colour: Colour, edge: Colour, width: float = 0.03) -> None:
        """A filled shape with a line around it."""
        pixels = self._pixels(shape)
        self._opaque.polygon(pixels, fill=colour)
        self._opaque.line(pixels + pixels[:2], fill=edge, width=max(1, round(width * self.unit)))

    def _pixels(self, points: Points) -> list[float]:
        pixels: list[float] = (points @ self._turn + self._shift).ravel().tolist()
        return pixels
