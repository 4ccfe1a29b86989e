"""The small parts of a page: escaped text, numbers for people, tables, bars, downloads."""

import base64
import csv
import html
import io
import math
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from wgan.serve.base.command import written

MISSING = "–"
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: Any) -> float | None:
    """``value`` if it is a finite number, as a float."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) <= sys.float_info.max else None  # NaN compares false


def text(value: Any) -> str:
    """Any value as text that cannot be markup."""
    return html.escape(str(value), quote=True)


def figure(value: Any, digits: int = 3) -> str:
    """A number with ``digits`` significant digits, but every digit before the point."""
    known = number(value)
    if known is None:
        return MISSING
    if known == 0:
        return "0"
    if not 1e-4 <= abs(known) < 1e7:
        return scientific(known)
    places = max(0, digits - 1 - math.floor(math.log10(abs(known))))
    return f"{known:,.{places}f}".replace("-", "−")


def count(value: Any) -> str:
    """A whole number with its thousands set apart."""
    known = number(value)
    return MISSING if known is None else f"{known:,.0f}"


def scientific(value: Any) -> str:
    """A small error: `3.2 × 10⁻⁵`."""
    known = number(value)
    if known is None:
        return MISSING
    if known == 0:
        return "0"
    mantissa, exponent = f"{known:.1e}".split("e")
    return f"{mantissa} × 10{str(int(exponent)).translate(_SUPERSCRIPTS)}".replace("-", "−").replace(" ", "\u00a0")


def share(value: Any) -> str:
    """A share of 1 as a percentage."""
    known = number(value)
    return MISSING if known is None else f"{figure(100 * known, 2)}\u00a0%"


def size(value: Any) -> str:
    """Bytes in decimal units."""
    known = number(value)
    if known is None:
        return MISSING
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if known >= scale:
            return f"{figure(known / scale)}\u00a0{unit}"
    return f"{known:.0f}\u00a0B"


def section(title: str, *parts: str) -> str:
    """A titled section, or nothing where its parts are nothing."""
    inside = "".join(parts)
    return f"<section>\n<h2>{text(title)}</h2>\n{inside}</section>\n" if inside else ""


def note(markup: str) -> str:
    """A paragraph of explanation."""
    return f'<p class="note">{markup}</p>\n'


def table(heads: Sequence[str], rows: Iterable[str], *, words: int = 1) -> str:
    """A table of `row`s; the first ``words`` columns hold text, the others figures.

    On a phone each row is a card of names and values: nothing lies beside the screen.
    """
    cells = "".join(
        f"<th>{text(head)}</th>" if i < words else f'<th class="n">{text(head)}</th>' for i, head in enumerate(heads)
    )
    named = (_with_heads(one, heads) for one in rows)
    return (
        f'<div class="scroll" tabindex="0" role="group" aria-label="table"><table>\n<thead><tr>{cells}</tr></thead>\n'
        f"<tbody>\n{''.join(named)}</tbody></table></div>\n"
    )


def row(words: Sequence[str], figures: Sequence[str] = (), *, kind: str = "") -> str:
    """A row of cells whose markup is given: text first, figures behind."""
    cells = [f"<td>{word}</td>" for word in words] + [f'<td class="n">{one}</td>' for one in figures]
    return f'<tr class="{kind}">{"".join(cells)}</tr>\n'


def _with_heads(line: str, heads: Sequence[str]) -> str:
    """The row with each cell's heading at hand: cells hold no markup of cells, as text in them is escaped."""
    names = iter(heads)
    return re.sub(r"<td\b", lambda _: f'<td data-head="{text(next(names, ""))}"', line)


def download(name: str, kind: str, content: bytes, words: str) -> str:
    """A link that saves ``content``, of media type ``kind``, under ``name``; it needs no script."""
    packed = base64.b64encode(content).decode()
    return f'<a class="save" download="{text(name)}" href="data:{kind};base64,{packed}">{text(words)}</a>'


def sheet(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """A CSV file. What a spreadsheet would take for a formula stays text."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    for line in (heads, *rows):
        writer.writerow([_tame(value) for value in line])
    return file.getvalue().encode()


def _tame(value: Any) -> Any:
    if value is None or isinstance(value, int | float):
        return "" if value is None else value
    written = str(value)
    return f"'{written}" if written[:1] in ("=", "+", "-", "@", "\t", "\r") else written


def bars(entries: Sequence[tuple[str, float, str]]) -> str:
    """Horizontal bars from (label markup, length, value markup)."""
    longest = max((length for _, length, _ in entries), default=0.0) or 1.0
    lines = (
        f'<div class="bar"><span>{label}</span><i style="--share:{100 * length / longest:.1f}%"></i>'
        f"<b>{value}</b></div>\n"
        for label, length, value in entries
    )
    return f'<div class="bars">\n{"".join(lines)}</div>\n' if entries else ""


def pairs(entries: Iterable[tuple[str, Any]]) -> str:
    """Names and values in columns; true and false as YAML writes them."""
    shown = ((key, written(value)) for key, value in entries)
    lines = "".join(f"<div><dt>{text(key)}</dt><dd>{text(value)}</dd></div>\n" for key, value in shown)
    return f'<dl class="pairs">\n{lines}</dl>\n' if lines else ""
