"""Line charts: inline SVG that needs no script, and beside it the values, for the charting library to take over.

Colours come from the page's style sheet (classes `c0`, `c1`, …), so a chart follows its light or dark theme.
"""

import html
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wgan.serve.page.scales import (
    BOTTOM_EDGE,
    HEIGHT,
    LEFT,
    RIGHT_EDGE,
    TOP,
    WIDTH,
    Frame,
    Point,
    short,
    spread,
    ticks,
    value_range,
)

MOST_POINTS = 400  # drawn of one line
MOST_VALUES = 1000  # of one line that scripts are given
SMOOTHED_FROM = 24  # points: fewer are shown as they are
COLOURS = 6  # more lines than that begin again, dashed


@dataclass(frozen=True)
class Line:
    """One curve: (step, value) points, of which those that are not finite are passed over."""

    name: str
    points: Sequence[Point]


@dataclass(frozen=True)
class Mark:
    """An upright line at a step; one with a name is drawn through and named."""

    step: float
    name: str = ""


@dataclass(frozen=True)
class Across:
    """What the horizontal axis counts; where it is ``doubling`` each doubling is as wide as any other."""

    name: str = "generator updates"
    doubling: bool = False


UPDATES = Across()


def chart(
    title: str,
    unit: str,
    lines: Sequence[Line],
    *,
    reference: float | None = None,
    marks: Sequence[Mark] = (),
    across: Across = UPDATES,
    logarithmic: bool = False,
) -> str:
    """A figure with title, unit, axes, a legend where there is more than one line, an optional level and marked steps.

    ``logarithmic`` is the upright axis, which then passes over what is not positive. Returns nothing where no line has
    a point to show.
    """
    lowest = 0.0 if logarithmic else -math.inf
    kept = [(_colour(i), line.name, _finite(line.points, lowest)) for i, line in enumerate(lines)]
    kept = [(colour, name, points) for colour, name, points in kept if points]
    if not kept:
        return ""
    raw = {colour: _thinned(points, MOST_POINTS) for colour, _, points in kept}
    heights = value_range([y for points in raw.values() for _, y in points], reference, logarithmic)
    drawing = _drawing(raw, heights, reference, marks, across, logarithmic)
    legend = _legend([(colour, name) for colour, name, _ in kept]) if len(lines) > 1 else ""
    label = html.escape(f"{title}, {unit}, by {across.name}")
    caption = f"<b>{html.escape(title)}</b> {html.escape(unit)}{legend}"
    values = {
        "title": title,
        "across": across.name,
        "doubling": across.doubling,
        "log": logarithmic,
        "range": [_rounded(value) for value in heights],
        "reference": reference,
        "marks": [[mark.step, mark.name] for mark in marks],
        **_columns(kept),
    }
    return (
        f'<figure class="chart"><figcaption>{caption}</figcaption>\n'
        f'<svg viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" aria-label="{label}">{drawing}</svg>'
        f"{data(values)}</figure>\n"
    )


def data(values: Any) -> str:
    """Values for a script of the page: in an element that no browser runs, and that no text of theirs can close."""
    packed = json.dumps(values, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        packed = packed.replace(character, f"\\u{ord(character):04x}")
    return f'<script type="application/json">{packed}</script>'


def _columns(kept: Sequence[tuple[str, str, list[Point]]]) -> dict[str, Any]:
    """Every step, and each line's value there or null."""
    thin = [(colour, name, dict(_thinned(points, MOST_VALUES))) for colour, name, points in kept]
    steps = sorted({step for _, _, values in thin for step in values})
    lines = [
        {
            "name": name,
            "colour": colour,
            "y": [None if step not in values else _rounded(values[step]) for step in steps],
        }
        for colour, name, values in thin
    ]
    return {"x": [int(step) if step == int(step) else round(step, 2) for step in steps], "lines": lines}


def _rounded(value: float) -> float:
    return float(f"{value:.5g}")


def _colour(index: int) -> str:
    return f"c{index % COLOURS}" + (" dashed" if index >= COLOURS else "")


def _drawing(
    raw: Mapping[str, list[Point]],
    heights: tuple[float, float],
    reference: float | None,
    marks: Sequence[Mark],
    across: Across,
    logarithmic: bool,
) -> str:
    if across.doubling:
        raw = {colour: [(math.log2(x), y) for x, y in points] for colour, points in raw.items()}
    steps = sorted({x for points in raw.values() for x, _ in points})
    x_low, x_high = spread(steps)
    if 0 < x_low < 0.1 * x_high and not across.doubling:
        x_low = 0.0
    frame = Frame(x_low, x_high, *heights, logarithmic)
    drawing = _axes(frame, across, steps if across.doubling else None) + _inside(frame, raw, reference, marks)
    if all(len(points) < SMOOTHED_FROM for points in raw.values()):  # dots at the edge must not be cut
        drawing += "".join(_dots(frame.place(points), colour) for colour, points in raw.items())
    return drawing


def _axes(frame: Frame, across: Across, powers: Sequence[float] | None) -> str:
    """Rules, ticks and their labels; the horizontal axis has its ticks at ``powers`` of 2, if those are given."""
    parts = []
    for value in frame.levels():
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
    parts.append(f'<text class="mid" x="{middle:g}" y="{HEIGHT - 4:g}">{html.escape(across.name)}</text>')
    return "".join(parts)


def _inside(frame: Frame, raw: Mapping[str, list[Point]], reference: float | None, marks: Sequence[Mark]) -> str:
    """The level, the marked steps and the curves; an inner svg cuts off what shoots out of the range."""
    width, height = RIGHT_EDGE - LEFT, BOTTOM_EDGE - TOP
    box = f'x="{LEFT:g}" y="{TOP:g}" width="{width:g}" height="{height:g}"'
    parts = [f'<svg {box} viewBox="{LEFT:g} {TOP:g} {width:g} {height:g}">']
    if reference is not None and not (frame.logarithmic and reference <= 0):
        y = frame.y(reference)
        parts.append(f'<line class="reference" x1="{LEFT:g}" x2="{RIGHT_EDGE:g}" y1="{y:.1f}" y2="{y:.1f}"/>')
    for mark in marks:
        x = frame.x(mark.step)
        kind = "named" if mark.name else "mark"
        parts.append(f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP:g}" y2="{BOTTOM_EDGE:g}"/>')
        if mark.name:
            side, end = (x - 5, ' class="end"') if x > (LEFT + RIGHT_EDGE) / 2 else (x + 5, "")
            parts.append(f'<text{end} x="{side:.1f}" y="{TOP + 12:g}">{html.escape(mark.name)}</text>')
    for colour, points in raw.items():
        smooth = _smoothed(points)
        if smooth != points:
            parts.append(_path(frame.place(points), f"raw {colour}"))
        parts.append(_path(frame.place(smooth), colour))
    return "".join([*parts, "</svg>"])


def _finite(points: Sequence[Point], above: float) -> list[Point]:
    return [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y) and y > above]


def _thinned(points: list[Point], most: int) -> list[Point]:
    """Means of neighbours, so that a long run makes no large page."""
    bucket = math.ceil(len(points) / most)
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


def _path(points: Sequence[Point], classes: str) -> str:
    return f'<polyline class="{classes}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}"/>'


def _dots(points: Sequence[Point], colour: str) -> str:
    return "".join(f'<circle class="{colour}" cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>' for x, y in points)


def _legend(entries: Sequence[tuple[str, str]]) -> str:
    keys = "".join(f'<span class="key {colour}">{html.escape(name)}</span>' for colour, name in entries)
    return f'<span class="legend">{keys}</span>'
