"""The small parts of a page: escaped text, numbers for people, tables, bars, embedded images."""

import base64
import html
import io
import math
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

MISSING = "–"
_THUMBNAIL = 272  # pixels: twice what the page shows them at
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
    """A table that scrolls inside its own box; the first ``words`` columns hold text, the others figures."""
    cells = "".join(
        f"<th>{text(head)}</th>" if i < words else f'<th class="n">{text(head)}</th>' for i, head in enumerate(heads)
    )
    return (
        f'<div class="scroll" tabindex="0"><table>\n<thead><tr>{cells}</tr></thead>\n'
        f"<tbody>\n{''.join(rows)}</tbody></table></div>\n"
    )


def row(words: Sequence[str], figures: Sequence[str] = (), *, kind: str = "") -> str:
    """A row of cells whose markup is given: text first, figures behind."""
    cells = [f"<td>{word}</td>" for word in words] + [f'<td class="n">{one}</td>' for one in figures]
    return f'<tr class="{kind}">{"".join(cells)}</tr>\n'


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
    shown = ((key, str(value).lower() if isinstance(value, bool) else value) for key, value in entries)
    lines = "".join(f"<div><dt>{text(key)}</dt><dd>{text(value)}</dd></div>\n" for key, value in shown)
    return f'<dl class="pairs">\n{lines}</dl>\n' if lines else ""


def picture(path: Path, *, alt: str, caption: str, crop: int | None = None) -> str:
    """The image file as a figure of the page, or nothing where it cannot be read.

    Args:
        path: an image of any format that Pillow reads.
        alt: what it shows.
        caption: the line beneath.
        crop: keep this many pixels at the top left, square, as a JPEG of at most 272 pixels: about 20 kB.
    """
    try:
        with Image.open(path) as image:
            shown: Image.Image = image
            if crop is not None:
                shown = image.convert("RGB").crop((0, 0, min(crop, image.width), min(crop, image.height)))
                shown.thumbnail((_THUMBNAIL, _THUMBNAIL))
            buffer = io.BytesIO()
            kind = "png" if crop is None else "jpeg"
            shown.save(buffer, kind, **({} if crop is None else {"quality": 88}))
            width, height = shown.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return ""
    data = base64.b64encode(buffer.getvalue()).decode()
    return (
        f'<figure><img src="data:image/{kind};base64,{data}" width="{width}" height="{height}" '
        f'alt="{text(alt)}"><figcaption>{text(caption)}</figcaption></figure>\n'
    )
