"""All rows as text for a terminal of 80 columns."""

import textwrap
from collections.abc import Iterable, Iterator
from typing import Any

from gpu.rows import BAD, Row

WIDTH = 80
LEADING = ("stage", "row", "status", "seconds")


def words(value: Any) -> str:
    """A figure as it is read."""
    if value is True or value is False:
        return "yes" if value else "no"
    if isinstance(value, int) and abs(value) >= 10_000:
        return f"{value:,}"
    if isinstance(value, list):
        return "; ".join(map(words, value)) or "none"
    if isinstance(value, dict):
        return "; ".join(f"{key} {words(held)}" for key, held in value.items()) or "none"
    return "-" if value is None else str(value)


def lines_of(row: Row) -> Iterator[str]:
    """A line of what and how it went, then its figures."""
    seconds = f"{row['seconds']:.1f} s"
    head = f"{row['status']:8}  {row['stage']:7}  "
    yield f"{head}{row['row'][: WIDTH - len(head) - 9]:{WIDTH - len(head) - 9}}{seconds:>9}"
    figures = ", ".join(
        words(value) if key == "why" else f"{key.replace('_', ' ')}: {words(value)}"
        for key, value in row.items()
        if key not in LEADING
    )
    yield from textwrap.wrap(figures, WIDTH, initial_indent=" " * 10, subsequent_indent=" " * 10)


def table(rows: Iterable[Row]) -> str:
    """The rows in their order, and how many of each kind."""
    rows, counts = list(rows), dict[str, int]()
    for row in rows:
        counts[row["status"]] = counts.get(row["status"], 0) + 1
    lines = [line for row in rows for line in lines_of(row)]
    said = ", ".join(f"{count} {status}" for status, count in sorted(counts.items(), key=lambda c: c[0] not in BAD))
    return "\n".join([*lines, "", said or "no row"])
