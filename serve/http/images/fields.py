"""The kinds of values that requests are made of: each is read strictly, and said in JSON Schema.

Both come from the same bounds, so the OpenAPI document says what the server does.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wgan.serve.base.terminal import plain
from wgan.serve.http.limits.refusals import Refusal
from wgan.serve.latents.table import SEEDS
from wgan.serve.sampling.sampler import some_of

Schema = dict[str, Any]
SHOWN = 60  # characters of a value in a message
# JSON's own grammar, for what comes as text: Python reads more, such as 1_000 and nan
_WHOLE = re.compile(r"-?(0|[1-9][0-9]{0,39})")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,39})(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,4})?")


@dataclass(frozen=True)
class Kind:
    """What a field can hold.

    Args:
        wanted: in a sentence: a whole number from 1 to 256.
        schema: the same in JSON Schema.
        value: takes it from JSON; raises ValueError where it is not as wanted, with or without a text.
        from_text: makes JSON's value of what a URL has; raises ValueError.
    """

    wanted: str
    schema: Schema
    value: Callable[[Any], Any]
    from_text: Callable[[str], Any] = str

    def read(self, name: str, given: Any) -> Any:
        """The value of the field ``name``. Raises Refusal, in one line that names it."""
        try:
            return self.value(given)
        except ValueError as error:
            why = str(error) or f"{shown(given)}, not {self.wanted}"
            raise Refusal.bad(f"{name} is {why}") from None

    def read_text(self, name: str, text: str) -> Any:
        """The value of the parameter ``name`` of a URL. Raises Refusal, in one line that names it."""
        try:
            given = self.from_text(text)
        except ValueError:
            raise Refusal.bad(f"{name} is {shown(text)}, not {self.wanted}") from None
        return self.read(name, given)


def whole(low: int, high: int) -> Kind:
    """A whole number: 3, and neither 3.0 nor true."""

    def value(given: Any) -> int:
        return given if type(given) is int and low <= given <= high else _bad()

    schema = {"type": "integer", "minimum": low, "maximum": high}
    return Kind(f"a whole number from {low} to {high:,}", schema, value, _integer)


def number(low: float, high: float) -> Kind:
    """A number within bounds; infinity and NaN are in none."""

    def value(given: Any) -> float:
        is_number = isinstance(given, int | float) and not isinstance(given, bool)
        return float(given) if is_number and low <= given <= high else _bad()

    schema = {"type": "number", "minimum": low, "maximum": high}
    return Kind(f"a number from {low:g} to {high:g}", schema, value, _real)


def choice(words: tuple[str, ...]) -> Kind:
    """One of some words."""

    def value(given: Any) -> str:
        return given if isinstance(given, str) and given in words else _bad()

    wanted = " ".join(plain(some_of(words)).split())  # a class may have a line break in its name
    return Kind(f"one of {wanted}", {"type": "string", "enum": list(dict.fromkeys(words))}, value)


def form(pattern: str, wanted: str) -> Kind:
    """Text that a pattern fits."""

    def value(given: Any) -> str:
        return given if isinstance(given, str) and re.fullmatch(pattern, given) else _bad()

    return Kind(wanted, {"type": "string", "pattern": f"^({pattern})$"}, value)


def listed(kind: Kind, low: int, high: int) -> Kind:
    """A list of values of one kind, read into a tuple."""
    count = f"{low}" if low == high else f"{low} to {high:,}"
    wanted = f"a list of {count}, each {kind.wanted}"

    def value(given: Any) -> tuple[Any, ...]:
        if not isinstance(given, list):
            _bad()
        if not low <= len(given) <= high:
            raise ValueError(f"a list of {len(given):,}, not {wanted}")
        values = []
        for item in given:
            try:
                values.append(kind.value(item))
            except ValueError:
                raise ValueError(f"a list with {shown(item)} in it, not {wanted}") from None
        return tuple(values)

    schema = {"type": "array", "items": kind.schema, "minItems": low, "maxItems": high}
    return Kind(wanted, schema, value)


def seed(last: int = SEEDS - 1) -> Kind:
    """A seed up to ``last``, as a number or in a string: JavaScript's numbers are exact to 2^53 alone."""
    plain_number = whole(0, last)

    def value(given: Any) -> int:
        return int(plain_number.value(_integer(given) if isinstance(given, str) else given))

    schema = {"anyOf": [plain_number.schema, {"type": "string", "pattern": f"^({up_to(str(last))})$"}]}
    return Kind("a seed: a whole number from 0 to 2^63 - 1, or its digits in a string", schema, value)


def shown(given: Any) -> str:
    """A value of somebody else's, short and harmless."""
    text = plain(json.dumps(given, ensure_ascii=False))
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def up_to(digits: str) -> str:
    """The pattern of the whole numbers from 0 to that of these digits, two or more, without leading zeros."""
    ways = ["0", f"[1-9][0-9]{{0,{len(digits) - 2}}}"]
    for i, digit in enumerate(digits):
        low = "1" if i == 0 else "0"
        if digit > low:
            rest = len(digits) - i - 1
            ways.append(f"{digits[:i]}[{low}-{int(digit) - 1}]" + (f"[0-9]{{{rest}}}" if rest else ""))
    return "|".join([*ways, digits])


def _integer(text: str) -> int:
    return int(text) if _WHOLE.fullmatch(text) else _bad()


def _real(text: str) -> float:
    return float(text) if _NUMBER.fullmatch(text) else _bad()


def _bad() -> Any:
    raise ValueError
