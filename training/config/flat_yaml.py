"""YAML of `key: value` lines, which is all that a configuration is: read event by event, from files of anybody.

The library's own loader builds whatever a text describes: lists inside lists until the stack ends, and by aliases
a few lines that are gigabytes when walked or printed. Here the first thing that is no plain value is an error.
"""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import yaml

Plain = str | int | float | bool | None
Taken = TypeVar("Taken")
MOST = 2**20  # characters
_LONGEST_NUMBER = 100  # characters; thousands of digits are none that a setting has, and slow to read


class NotFlat(ValueError):
    """Not `key: value` lines; the text says what is there instead, and in which line."""


def read(text: str, texts: frozenset[str] = frozenset()) -> dict[str, Plain]:
    """The values of `key: value` lines; those of the keys ``texts`` as they are written, ``2024`` and ``yes`` too.

    Raises:
        NotFlat: no YAML, or more than such lines.
    """

    def lines(first: yaml.Event, events: Iterator[yaml.Event]) -> dict[str, Plain]:
        if isinstance(first, yaml.ScalarEvent) and not first.value:
            return {}
        if not isinstance(first, yaml.MappingStartEvent):
            raise NotFlat(f"line {_line(first)} is something else")
        values: dict[str, Plain] = {}
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            key = _scalar(event)
            if key.value in values:
                raise NotFlat(f"line {_line(key)}: {key.value[:40]!r} is there a second time")
            values[key.value] = _plain(_scalar(next(events)), key.value in texts)
        return values

    return _document(text, lines) or {}


def value(text: str) -> Plain:
    """A single value, as it would stand behind `key:`. Raises NotFlat."""
    return _document(text, lambda first, _: _plain(_scalar(first), as_text=False))


def _document(text: str, take: Callable[[yaml.Event, Iterator[yaml.Event]], Taken]) -> Taken | None:
    """What ``take`` makes of the one document in ``text``, given its first event and the others; None for no text."""
    if len(text) > MOST:
        raise NotFlat(f"more than {MOST:,} characters")
    try:
        events: Iterator[yaml.Event] = iter(yaml.parse(text, yaml.SafeLoader))
        next(events)
        if isinstance(next(events), yaml.StreamEndEvent):
            return None
        taken = take(next(events), events)
        next(events)
        more = next(events)
    except yaml.YAMLError as error:
        raise NotFlat(" ".join(str(error).split())) from None
    if not isinstance(more, yaml.StreamEndEvent):
        raise NotFlat(f"line {_line(more)}: a second document")
    return taken


def _scalar(event: yaml.Event) -> yaml.ScalarEvent:
    if isinstance(event, yaml.ScalarEvent):
        return event
    what = "an alias" if isinstance(event, yaml.AliasEvent) else "a list or a mapping"
    raise NotFlat(f"line {_line(event)}: {what}, where a single value must be")


def _plain(event: yaml.ScalarEvent, as_text: bool) -> Plain:
    """Numbers, truth values and null as YAML has them; anything else, dates too, is the text that is written."""
    text: str = event.value
    loader: Any = yaml.SafeLoader("")
    tag = str(event.tag or loader.resolve(yaml.ScalarNode, text, event.implicit))
    kind = tag.removeprefix("tag:yaml.org,2002:")
    if event.tag and kind not in ("str", "!"):
        raise NotFlat(f"line {_line(event)}: the tag {tag[:40]!r}, where a plain value must be")
    if kind == "null":
        return None
    if as_text or kind not in ("bool", "int", "float") or len(text) > _LONGEST_NUMBER:
        return text
    number: Plain = loader.construct_object(yaml.ScalarNode(tag, text))
    return number


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1
