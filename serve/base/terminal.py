"""What is written for people: results on stdout, all else on stderr, and nothing that steers a terminal."""

import io
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TextIO

_quiet = ContextVar("quiet", default=False)

# what steers a terminal or cannot be written: controls, marks that turn the reading direction, half characters
_STEERING = (*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A), *range(0xD800, 0xE000))
_PLAIN = {code: "\ufffd" for code in _STEERING if chr(code) not in "\n\t"}


def emit(result: dict[str, Any], text: str, as_json: bool) -> None:
    """The command's result on stdout: the text, or the whole object."""
    print(json.dumps(result) if as_json else plain(text), flush=True)


@contextmanager
def quiet(wanted: bool = True) -> Iterator[None]:
    """While it is open nothing is said and no progress is shown, if ``wanted``: for programs that import wgan."""
    before = _quiet.set(wanted or _quiet.get())
    try:
        yield
    finally:
        _quiet.reset(before)


def messages() -> TextIO:
    """Where lines and progress are written: stderr, or nowhere while `quiet` is open."""
    return io.StringIO() if _quiet.get() else sys.stderr


def say(text: str) -> None:
    """A line on stderr."""
    print(plain(text), file=messages(), flush=True)


def say_once(texts: Iterable[str | None]) -> None:
    """Lines on stderr: each once, however many have it to say."""
    for text in dict.fromkeys(text for text in texts if text is not None):
        say(text)


def plain(text: str) -> str:
    """Text that only writes: files, classes and what metadata says may be named anything."""
    return text.translate(_PLAIN)


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """`1 image`, `1,000 images`: a number with its noun, whose plural ends in s where none is given."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def short(error: object) -> str:
    """An error of another's on one short line."""
    return " ".join(str(error).split())[:120] or type(error).__name__
