"""JSON that anybody may have written: what comes out of it can be walked, printed and written again."""

import json
from typing import Any

DEEPEST = 100  # lists and objects inside each other: what goes over them call by call ends long after
LONGEST = 400  # digits of a whole number: more than any field has a use for


def parse_json(text: str | bytes, **hooks: Any) -> Any:
    """The value of a JSON text; ``hooks`` are those of `json.loads`.

    Raises:
        ValueError: it is none, in no UTF encoding, has a number of thousands of digits, or is nested too deeply.
    """
    try:
        value = json.loads(text, **hooks)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    level = [value]
    for _ in range(DEEPEST):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return value
    raise ValueError("nested too deeply")


def parse_exact_json(text: bytes) -> Any:
    """The value of a JSON text in which nothing is left to the reader: what Python takes beyond RFC 8259 is refused.

    Raises:
        ValueError: as `parse_json`; not UTF-8, a name twice in one object, NaN, Infinity, or hundreds of digits. Its
            text is one short line.
    """
    try:
        return parse_json(text.decode(), object_pairs_hook=_once, parse_constant=_no_number, parse_int=_whole)
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {ascii(twice)[:60]} is there twice")
    return values


def _no_number(word: str) -> Any:
    raise ValueError(f"JSON has no {word}")


def _whole(digits: str) -> int:
    if len(digits) > LONGEST:
        raise ValueError(f"a number of {len(digits):,} digits")
    return int(digits)
