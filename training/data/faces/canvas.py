"""Dice, colours and a canvas: what the parts of a drawn face are made with.

A face has its own coordinates: the origin between the eyes, x to the right, y down, one unit is
half the width of the head. The canvas turns them into pixels.
"""

import colorsys
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from PIL import Image, ImageDraw

from wgan.training.data.faces.curves import Points

Colour = tuple[int, ...]  # RGB; RGBA where it is translucent
T = TypeVar("T")

WHITE: Colour = (255, 255, 255)
INK: Colour = (48, 26, 58)  # shadows lean to violet: black would look dirty


class Dice:
    """The random numbers of one face.

    Drawn from raw Philox words, which numpy promises never to change.
    """

    def __init__(self, index: int):
        words = np.random.Philox(key=index).random_raw(256)  # of 20000 faces none took more than 161
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


class Canvas:
    """Draws on an image in the face's coordinates, once `paint` is called.

    Until then shapes are only collected: turning all their points into pixels together takes a
    third of the time of one shape after another.

    x, y: where the origin lies, scale: the unit (shares of the canvas); tilt in radians.
    """

    def __init__(self, image: Image.Image, x: float, y: float, scale: float, tilt: float):
        side = image.width
        self.unit = scale * side  # pixels
        self._cos, self._sin = math.cos(tilt) * self.unit, math.sin(tilt) * self.unit
        self._x, self._y = x * side, y * side
        self._opaque = ImageDraw.Draw(image)
        self._blend = ImageDraw.Draw(image, "RGBA")  # several times slower, so only where it is needed
        self._shapes: list[Points] = []
        self._numbers = 0  # in all shapes so far, two a point
        self._strokes: list[tuple[Callable[..., None], slice | tuple[float, ...], dict[str, Any]]] = []

    def fill(self, shape: Points, colour: Colour) -> None:
        """A filled shape."""
        self._strokes.append((self._brush(colour).polygon, self._collect(shape), {"fill": colour}))

    def stroke(self, line: Points, colour: Colour, width: float = 0.03) -> None:
        """A line of this width (units)."""
        style = {"fill": colour, "width": self._width(width)}
        self._strokes.append((self._brush(colour).line, self._collect(line), style))

    def shape(self, shape: Points, colour: Colour, edge: Colour, width: float = 0.03) -> None:
        """A filled shape with a line around it."""
        self.fill(shape, colour)
        around = slice(self._numbers - 2 * len(shape), self._numbers + 2)
        self._collect(shape[:1])  # the line ends where it began
        self._strokes.append((self._opaque.line, around, {"fill": edge, "width": self._width(width)}))

    def oval(self, x: float, y: float, rx: float, ry: float, colour: Colour, edge: Colour | None = None) -> None:
        """A small or nearly round ellipse: quicker than a shape, and it does not tilt with the face."""
        left = self._x + x * self._cos - y * self._sin - rx * self.unit
        top = self._y + x * self._sin + y * self._cos - ry * self.unit
        box = (left, top, left + 2 * rx * self.unit, top + 2 * ry * self.unit)
        style = {"fill": colour, "outline": edge, "width": self._width(0.03) if edge else 0}
        self._strokes.append((self._brush(colour).ellipse, box, style))

    def paint(self) -> None:
        """Draw all that was collected, in its order."""
        pixels: list[float] = []
        if self._shapes:
            turn = np.array([[self._cos, self._sin], [-self._sin, self._cos]])
            pixels = (np.concatenate(self._shapes) @ turn + (self._x, self._y)).ravel().tolist()
        for draw, where, style in self._strokes:
            draw(pixels[where] if isinstance(where, slice) else where, **style)

    def _collect(self, points: Points) -> slice:
        """Where the points' pixels will be."""
        self._shapes.append(points)
        start = self._numbers
        self._numbers += 2 * len(points)
        return slice(start, self._numbers)

    def _brush(self, colour: Colour) -> ImageDraw.ImageDraw:
        return self._blend if len(colour) == 4 else self._opaque

    def _width(self, units: float) -> int:
        return max(1, round(units * self.unit))
