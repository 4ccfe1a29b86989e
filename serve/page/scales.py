"""The axes of a chart: what range they show, where a value lies on them, and the round values that they name."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 440.0, 232.0  # of the drawing, in its own units
LEFT, TOP = 46.0, 8.0  # margins
RIGHT_EDGE, BOTTOM_EDGE = WIDTH - 12.0, HEIGHT - 40.0

Point = tuple[float, float]


@dataclass(frozen=True)
class Frame:
    """The range of both axes, and where its points lie in the drawing; a logarithmic one has positive values alone."""

    x_low: float
    x_high: float
    y_low: float
    y_high: float
    logarithmic: bool = False  # of the upright axis

    def x(self, value: float) -> float:
        """Where ``value`` lies across."""
        return LEFT + (value - self.x_low) * (RIGHT_EDGE - LEFT) / (self.x_high - self.x_low)

    def y(self, value: float) -> float:
        """Where ``value`` lies from the top."""
        low, high = self.y_low, self.y_high
        if self.logarithmic:
            value, low, high = math.log10(value), math.log10(low), math.log10(high)
        return TOP + (high - value) * (BOTTOM_EDGE - TOP) / (high - low)

    def place(self, points: Sequence[Point]) -> list[Point]:
        """The points in the drawing."""
        return [(self.x(x), self.y(y)) for x, y in points]

    def levels(self) -> list[float]:
        """The values that the upright axis names."""
        return powers(self.y_low, self.y_high) if self.logarithmic else ticks(self.y_low, self.y_high, 5)


def ticks(low: float, high: float, most: int) -> list[float]:
    """At most ``most`` round values (1, 2 or 5 times a power of ten apart) from ``low`` to ``high``."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10, 20) if _count(low, high, power * factor) <= most)
    first = math.ceil(low / step - 1e-9)
    return [(first + i) * step for i in range(_count(low, high, step))]


def powers(low: float, high: float, most: int = 6) -> list[float]:
    """At most ``most`` of the powers of ten from ``low`` to ``high``, with 2 and 5 times each where there is room."""
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found: list[float] = []
    for factors in ((1, 2, 3, 4, 5, 6, 7, 8, 9), (1, 2, 5), (1,)):
        values = (factor * 10.0**exponent for exponent in exponents for factor in factors)
        found = [value for value in values if low * (1 - 1e-9) <= value <= high * (1 + 1e-9)]
        if len(found) <= most:
            break
    return found[:: -(-len(found) // most)] if found else []


def short(value: float) -> str:
    """A tick's label: `0.05`, `12`, `40k`, `1.5M`."""
    for unit, scale in (("M", 1e6), ("k", 1e3)):
        if abs(value) >= scale:
            return f"{value / scale:.4g}{unit}".replace("-", "−")
    return f"{value:.4g}".replace("-", "−")


def value_range(raw: Sequence[float], reference: float | None, logarithmic: bool = False) -> tuple[float, float]:
    """What the upright axis shows: every value but the wildest hundredth at either end; all of a logarithmic one."""
    if logarithmic:
        low, high = math.log10(min(raw)), math.log10(max(raw))
        edge = 0.05 * (high - low) or 0.3
        return 10.0 ** (low - edge), 10.0 ** (high + edge)
    values, end = sorted(raw), len(raw) // 100
    wanted = [*values[end : len(values) - end], *([] if reference is None else [reference])]
    if 0 < min(wanted) < 0.6 * max(wanted):
        wanted.append(0.0)
    low, high = spread(wanted)
    return (low if low == 0 else low - 0.05 * (high - low)), high + 0.05 * (high - low)


def spread(values: Sequence[float]) -> tuple[float, float]:
    """The lowest and the highest, apart even where they are equal."""
    low, high = min(values), max(values)
    if high - low <= 1e-9 * max(abs(low), abs(high), 1e-9):
        half = abs(low) / 2 or 1.0
        return low - half, high + half
    return low, high


def _count(low: float, high: float, step: float) -> int:
    return math.floor(high / step + 1e-9) - math.ceil(low / step - 1e-9) + 1
