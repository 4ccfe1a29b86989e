"""Line charts as inline SVG, without a library: raw values faint, smoothed values on top.

Colours come from the page's style sheet (classes `c0`, `c1`, …), so a chart follows its light or dark theme.
"""

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 440.0, 232.0  # of the drawing, in its own units
LEFT, TOP = 46.0, 8.0  # margins
RIGHT_EDGE, BOTTOM_EDGE = WIDTH - 12.0, HEIGHT - 40.0
MOST_POINTS = 400  # drawn of one line
SMOOTHED_FROM = 24  # points: fewer are shown as they are

Point = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """One curve: (step, value) points, of which those that are not finite are passed over."""

    name: str
    points: Sequence[Point]


@dataclass(frozen=True)
class _Frame:
    """The range of both axes, and where its points lie in the drawing."""

    x_low: float
    x_high: float
    y_low: float
    y_high: float

    def x(self, value: float) -> float:
        return LEFT + (value - self.x_low) * (RIGHT_EDGE - LEFT) / (self.x_high - self.x_low)

    def y(self, value: float) -> float:
        return TOP + (self.y_high - value) * (BOTTOM_EDGE - TOP) / (self.y_high - self.y_low)

    def place(self, points: Sequence[Point]) -> list[Point]:
        return [(self.x(x), self.y(y)) for x, y in points]


def chart(
    title: str,
    unit: str,
    lines: Sequence[Line],
    *,
    reference: float | None = None,
    marks: Sequence[float] = (),
    across: str = "generator updates",
    doubling: bool = False,
) -> str:
    """A figure with title, unit, axes, a legend where there is more than one line, an optional level and marked steps.

    ``across`` is what the horizontal axis counts; ``doubling`` makes each doubling of it as wide as any other and
    marks the values that there are. Returns nothing where no line has a finite point.
    """
    if doubling:
        lines = [Line(line.name, [(math.log2(x), y) for x, y in line.points]) for line in lines]
    known = [(f"c{i}", line.name, _finite(line.points)) for i, line in enumerate(lines)]
    known = [(colour, name, points) for colour, name, points in known if points]
    if not known:
        return ""
    raw = {colour: _thinned(points) for colour, _, points in known}
    steps = sorted({x for _, _, points in known for x, _ in points})
    x_low, x_high = _spread(steps)
    if 0 < x_low < 0.1 * x_high and not doubling:
        x_low = 0.0
    frame = _Frame(x_low, x_high, *_value_range([y for points in raw.values() for _, y in points], reference))
    drawing = _axes(frame, across, steps if doubling else None) + _inside(frame, raw, reference, marks)
    if all(len(points) < SMOOTHED_FROM for points in raw.values()):  # dots at the edge must not be cut
        drawing += "".join(_dots(frame.place(points), colour) for colour, points in raw.items())
    legend = _legend([(colour, name) for colour, name, _ in known]) if len(lines) > 1 else ""
    label = html.escape(f"{title}, {unit}, by {across}")
    caption = f"<b>{html.escape(title)}</b> {html.escape(unit)}{legend}"
    return (
        f'<figure class="chart"><figcaption>{caption}</figcaption>\n'
        f'<svg viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" aria-label="{label}">{drawing}</svg>'
        "</figure>\n"
    )


def _axes(frame: _Frame, across: str, powers: Sequence[float] | None) -> str:
    """Rules, ticks and their labels; the horizontal axis has its ticks at ``powers`` of 2, if those are given."""
    parts = []
    for value in ticks(frame.y_low, frame.y_high, 5):
        y = frame.y(value)
        parts.append(f'<line class="rule" x1="{LEFT:g}" x2="{RIGHT_EDGE:g}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="end" x="{LEFT - 7:g}" y="{y + 4:.1f}">{short(value)}</text>')
    for value in ticks(frame.x_low, frame.x_high, 6) if powers is None else powers:
        x = frame.x(value)
        anchor = ' class="end"' if x > RIGHT_EDGE - 12 else ' class="mid"'
        label = short(value if powers is None else round(2**value))
        parts.append(f'<text{anchor} x="{x:.1f}" y="{BOTTOM_EDGE + 17:g}">{label}</text>')
    level = f'y1="{BOTTOM_EDGE:g}" y2="{BOTTOM_EDGE:g}"'
    parts.append(f'<line class="axis" x1="{LEFT:g}" x2="{RIGHT_EDGE:g}" {level}/>')
    middle = (LEFT + RIGHT_EDGE) / 2
    parts.append(f'<text class="mid" x="{middle:g}" y="{HEIGHT - 4:g}">{html.escape(across)}</text>')
    return "".join(parts)


def _inside(frame: _Frame, raw: Mapping[str, list[Point]], reference: float | None, marks: Sequence[float]) -> str:
    """The level, the marked steps and the curves; an inner svg cuts off what shoots out of the range."""
    width, height = RIGHT_EDGE - LEFT, BOTTOM_EDGE - TOP
    box = f'x="{LEFT:g}" y="{TOP:g}" width="{width:g}" height="{height:g}"'
    parts = [f'<svg {box} viewBox="{LEFT:g} {TOP:g} {width:g} {height:g}">']
    if reference is not None:
        y = frame.y(reference)
        parts.append(f'<line class="reference" x1="{LEFT:g}" x2="{RIGHT_EDGE:g}" y1="{y:.1f}" y2="{y:.1f}"/>')
    for mark in marks:
        x = frame.x(mark)
        parts.append(f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP:g}" y2="{BOTTOM_EDGE:g}"/>')
    for colour, points in raw.items():
        smooth = _smoothed(points)
        if smooth != points:
            parts.append(_path(frame.place(points), f"raw {colour}"))
        parts.append(_path(frame.place(smooth), colour))
    return "".join([*parts, "</svg>"])


def ticks(low: float, high: float, most: int) -> list[float]:
    """At most ``most`` round values (1, 2 or 5 times a power of ten apart) from ``low`` to ``high``."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10, 20) if _count(low, high, power * factor) <= most)
    first = math.ceil(low / step - 1e-9)
    return [(first + i) * step for i in range(_count(low, high, step))]


def short(value: float) -> str:
    """A tick's label: `0.05`, `12`, `40k`, `1.5M`."""
    for unit, scale in (("M", 1e6), ("k", 1e3)):
        if abs(value) >= scale:
            return f"{value / scale:.4g}{unit}".replace("-", "−")
    return f"{value:.4g}".replace("-", "−")


def _count(low: float, high: float, step: float) -> int:
    return math.floor(high / step + 1e-9) - math.ceil(low / step - 1e-9) + 1


def _finite(points: Sequence[Point]) -> list[Point]:
    return [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]


def _thinned(points: list[Point]) -> list[Point]:
    """Means of neighbours, so that a long run makes no large page."""
    bucket = math.ceil(len(points) / MOST_POINTS)
    groups = (points[i : i + bucket] for i in range(0, len(points), bucket))
    return [(sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group)) for group in groups]


def _smoothed(points: list[Point]) -> list[Point]:
    """Centred moving average, narrower towards the ends."""
    if len(points) < SMOOTHED_FROM:
        return points
    reach = max(1, len(points) // 40)
    averages = []
    for i, (x, _) in enumerate(points):
        near = max(min(reach, i, len(points) - 1 - i), reach // 2)
        window = points[max(0, i - near) : i + near + 1]
        averages.append((x, sum(y for _, y in window) / len(window)))
    return averages


def _value_range(raw: Sequence[float], reference: float | None) -> tuple[float, float]:
    """What the vertical axis shows: every value but the wildest hundredth at either end."""
    values, edge = sorted(raw), len(raw) // 100
    wanted = [*values[edge : len(values) - edge], *([] if reference is None else [reference])]
    if 0 < min(wanted) < 0.6 * max(wanted):
        wanted.append(0.0)
    low, high = _spread(wanted)
    return (low if low == 0 else low - 0.05 * (high - low)), high + 0.05 * (high - low)


def _spread(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    if high - low <= 1e-9 * max(abs(low), abs(high), 1e-9):
        half = abs(low) / 2 or 1.0
        return low - half, high + half
    return low, high


def _path(points: Sequence[Point], classes: str) -> str:
    return f'<polyline class="{classes}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}"/>'


def _dots(points: Sequence[Point], colour: str) -> str:
    return "".join(f'<circle class="{colour}" cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>' for x, y in points)


def _legend(entries: Sequence[tuple[str, str]]) -> str:
    keys = "".join(f'<span class="key {colour}">{html.escape(name)}</span>' for colour, name in entries)
    return f'<span class="legend">{keys}</span>'
