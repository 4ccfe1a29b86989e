"""Colour for people at a terminal: marked where a text is made, shown or dropped where it is written."""

import os
from typing import TextIO

# noncharacters of Unicode: for use inside a program, in no text that comes from outside
_MARKS = {"green": "\ufdd0", "red": "\ufdd1", "yellow": "\ufdd2", "bold": "\ufdd3"}
_END = "\ufddf"
_CODES = {"green": "32", "red": "31", "yellow": "33", "bold": "1"}
_SHOWN = {ord(mark): f"\x1b[{_CODES[name]}m" for name, mark in _MARKS.items()} | {ord(_END): "\x1b[0m"}
_DROPPED = dict.fromkeys(_SHOWN)
MARKS = frozenset(_SHOWN)

# how a verdict begins → its colour
VERDICTS = {
    **dict.fromkeys(("holds", "yes", "runs"), "green"),
    **dict.fromkeys(("FAILS", "DOES NOT HOLD", "refused", "no", "does not run"), "red"),
    **dict.fromkeys(("not run", "not measured", "try", "is not known"), "yellow"),
}


def painted(text: str, style: str) -> str:
    """``text``, which is clean and of one line, marked to be green, red, yellow or bold."""
    return f"{_MARKS[style]}{text}{_END}" if text else text


def style_of(verdict: str) -> str | None:
    """The colour of a verdict; None for a word that is none."""
    found = [word for word in VERDICTS if verdict == word or verdict.startswith(f"{word} ")]
    return VERDICTS[max(found, key=len)] if found else None


def as_verdict(text: str) -> str:
    """A verdict in its colour."""
    style = style_of(text)
    return painted(text, style) if style else text


def unpainted(text: str) -> str:
    """The text alone."""
    return text.translate(_DROPPED)


def shown_on(stream: TextIO, text: str) -> str:
    """The text as ``stream`` shows it: in colour on a terminal, unless the environment's NO_COLOR or TERM speak
    against it.
    """
    return text.translate(_SHOWN if colours_on(stream) else _DROPPED)


def colours_on(stream: TextIO) -> bool:
    """Whether colour is shown on ``stream`` (https://no-color.org)."""
    plain_terminal = os.environ.get("TERM", "") in ("dumb", "unknown")
    return stream.isatty() and not plain_terminal and not os.environ.get("NO_COLOR")
