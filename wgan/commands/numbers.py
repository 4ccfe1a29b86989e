"""Numbers as they are typed: where one is none, a line says which option it is of.

Ranges are for what the number means to say: here is only how it is written.
"""

import math
import re
from collections.abc import Callable
from typing import Any, get_args, get_origin

from typer.models import OptionInfo

from wgan.serve.base.command import explained
from wgan.serve.base.errors import ConfigError

_WHOLE = re.compile(r"[+-]?[0-9]+(_[0-9]+)*")
MOST_DIGITS = 40
_LONGEST = 40  # characters that a line shows


def read_by(name: str, annotation: Any) -> None:
    """Lets the option of a parameter, if it is of numbers and has no parser of its own, be read by one from here."""
    for info in getattr(annotation, "__metadata__", ()):
        kinds = _kinds(annotation.__origin__)
        if isinstance(info, OptionInfo) and info.parser is None and kinds in ({int}, {float}):
            # typer takes the first name for a default, until it knows better
            names = [each for each in (info.default, *(info.param_decls or ())) if isinstance(each, str)]
            option = next(iter(names), f"--{name.replace('_', '-')}")
            info.parser = whole(option) if kinds == {int} else real(option)


def whole(option: str) -> Callable[[Any], int]:
    """A parser of whole numbers, for typer. It raises ConfigError."""

    def parse(value: Any) -> int:
        if isinstance(value, int):  # a default
            return value
        text = str(value).strip()
        if _WHOLE.fullmatch(text) is None:
            raise ConfigError(f"{option} {_shown(value)} is not a whole number{_meant(text)}. See `{explained()}`.")
        if len(text) > MOST_DIGITS:
            raise ConfigError(f"{option} {_shown(value)} is outside its range: no number here has {len(text):,} digits")
        return int(text)

    return parse


def real(option: str) -> Callable[[Any], float]:
    """A parser of numbers, for typer. It raises ConfigError."""

    def parse(value: Any) -> float:
        if isinstance(value, int | float):  # a default
            return float(value)
        try:
            if value.isascii():
                return float(value)
        except ValueError:
            pass
        raise ConfigError(f"{option} {_shown(value)} is not a number. See `{explained()}`.")

    return parse


def _kinds(origin: Any) -> set[Any]:
    """The types of an annotation: of `tuple[int, int] | None` {int}."""
    if get_origin(origin) is None:
        return {origin}
    return set().union(*map(_kinds, get_args(origin))) - {type(None)}


def _meant(text: str) -> str:
    """The number that it may be meant to be."""
    try:
        number = float(text)
    except ValueError:
        return ""
    return f": write {number:.0f}" if math.isfinite(number) and number.is_integer() and abs(number) < 2**53 else ""


def _shown(value: str) -> str:
    text = value if value.strip() else repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
