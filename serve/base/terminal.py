"""What is written for people: results on stdout, all else on stderr, and nothing that steers a terminal."""

import io
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TextIO

from wgan.serve.base.fold import folded, terminal_width
from wgan.serve.base.paint import MARKS, shown_on

_quiet = ContextVar("quiet", default=False)
_verbose = ContextVar("verbose", default=False)

# what steers a terminal or cannot be written: controls, marks that turn the reading direction, half characters
_STEERING = (*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A), *range(0xD800, 0xE000))
_PAINTED = {code: "\ufffd" for code in _STEERING if chr(code) not in "\n\t"}
_PLAIN = _PAINTED | dict.fromkeys(MARKS, "\ufffd")
# for terminals that have ASCII alone
_ASCII = str.maketrans({"…": "...", "–": "-", "—": "-", "·": "|", "±": "+/-", "×": "x", "²": "^2", "→": "->"})


def emit(result: dict[str, Any], text: str, as_json: bool) -> None:
    """The command's result on stdout: the text, with its marked colours on a terminal, or the whole object."""
    print(json.dumps(result) if as_json else written_on(sys.stdout, text.translate(_PAINTED)), flush=True)


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


@contextmanager
def verbose(wanted: bool = True) -> Iterator[None]:
    """While it is open `detail` says what it is given, if ``wanted``."""
    before = _verbose.set(wanted or _verbose.get())
    try:
        yield
    finally:
        _verbose.reset(before)


def say(text: str) -> None:
    """A line on stderr."""
    out = messages()
    print(written_on(out, plain(text)), file=out, flush=True)


def fault(text: str) -> None:
    """A line on stderr that says what is wrong: `quiet` does not silence it."""
    print(written_on(sys.stderr, plain(text)), file=sys.stderr, flush=True)


def detail(text: str) -> None:
    """A line on stderr for those who asked for details: which file was chosen, what took how long."""
    if _verbose.get():
        say(text)


def written_on(stream: TextIO, text: str) -> str:
    """Clean text as ``stream`` can take it: in colour if that is shown there, in ASCII if it has no more.

    On a terminal long lines are broken between words; commands stay whole.
    """
    if stream.isatty():
        text = folded(text, terminal_width())
    text, encoding = shown_on(stream, text), getattr(stream, "encoding", None)
    if encoding is None:
        return text
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(_ASCII).encode(encoding, "replace").decode(encoding)
    return text


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
