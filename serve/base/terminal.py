"""What is written for people: results on stdout, all else on stderr, and nothing that steers a terminal."""

import errno
import io
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from contextvars import ContextVar
from typing import Any, TextIO

from wgan.serve.base.errors import OutputError
from wgan.serve.base.fetched import as_typed
from wgan.serve.base.paint import MARKS, shown_on
from wgan.serve.base.written import put, written_on

_MEANT = (errno.EPIPE, errno.EBADF)  # who reads it has gone, or never was

_quiet = ContextVar("quiet", default=False)
_verbose = ContextVar("verbose", default=False)

# what steers a terminal or cannot be written: controls, marks that turn the reading direction, half characters
_STEERING = (*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A), *range(0xD800, 0xE000))
# a byte of a file's name that is no text is shown by its number
_BYTES = {0xDC00 + byte: f"\\x{byte:02x}" for byte in range(0x80, 0x100)}
_PAINTED = {code: "\ufffd" for code in _STEERING if chr(code) not in "\n\t"} | _BYTES
_PLAIN = _PAINTED | dict.fromkeys(MARKS, "\ufffd")


class Undelivered(OutputError):
    """The work is done, but its JSON object, for which a program waits, cannot be written."""


def emit(result: dict[str, Any], text: str, as_json: bool) -> None:
    """The command's result on stdout: the text, with its marked colours on a terminal, or the whole object.

    Raises Undelivered for an object that cannot be written. A text that cannot is work done all the same.
    """
    if not as_json:
        show(as_typed(text).translate(_PAINTED))
    elif (failed := put(sys.stdout, json.dumps(as_typed(result)) + "\n")) is not None:
        raise Undelivered(f"the JSON could not be written to stdout: {failed.strerror}; what the command made is there")


def show(text: str, *, laid_out: bool = False) -> None:
    """A text of ours on stdout; ``laid_out``: it is as wide as it should be, and ends its last line."""
    stream = sys.stdout
    if stream is None:
        return
    failed = put(stream, shown_on(stream, text) if laid_out else written_on(stream, text) + "\n")
    if failed is not None and failed.errno not in _MEANT:
        fault(f"wgan: what is said on stdout could not be written there: {failed.strerror}")


@contextmanager
def shown() -> Iterator[None]:
    """What a package prints on stdout in the block, such as typer its help, is held back and shown after it."""
    held = io.StringIO()
    try:
        with redirect_stdout(held):
            yield
    finally:
        if held.getvalue():
            show(held.getvalue(), laid_out=True)


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
    return io.StringIO() if _quiet.get() or sys.stderr is None else sys.stderr


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
    put(out, written_on(out, plain(text)) + "\n")


def fault(text: str) -> None:
    """A line on stderr that says what is wrong: `quiet` does not silence it."""
    if sys.stderr is not None:
        put(sys.stderr, written_on(sys.stderr, plain(text)) + "\n")


def detail(text: str) -> None:
    """A line on stderr for those who asked for details: which file was chosen, what took how long."""
    if _verbose.get():
        say(text)


def say_once(texts: Iterable[str | None]) -> None:
    """Lines on stderr: each once, however many have it to say."""
    for text in dict.fromkeys(text for text in texts if text is not None):
        say(text)


def plain(text: str) -> str:
    """Text that only writes: files, classes and what metadata says may be named anything."""
    return str(as_typed(text)).translate(_PLAIN)


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """`1 image`, `1,000 images`: a number with its noun, whose plural ends in s where none is given."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def short(error: object) -> str:
    """An error of another's on one short line."""
    return " ".join(str(error).split())[:120] or type(error).__name__
