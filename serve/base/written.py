"""Text on any stream: one that is full, closed or left by its reader stops no work, whatever characters it lacks.

All that the program says goes through `put`. What a stream's encoding lacks is written so that it can still be read:
ASCII for signs (`...`), a backslash and the character's number for letters (`\\u56fe`), and in a command that is to be
pasted the bytes that a shell understands (`$'\\345\\233\\276'`).
"""

import codecs
import errno
import io
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from wgan.serve.base.fold import folded, terminal_width
from wgan.serve.base.paint import shown_on

READABLE = "wgan.readable"  # the name of the error handler
_ASCII = {"…": "...", "–": "-", "—": "-", "·": "|", "±": "+/-", "×": "x", "²": "^2", "→": "->", "\ufffd": "?"}
_COMMAND = re.compile(r"`wgan [^`\n]*`|^next: .*", re.MULTILINE)
_QUOTED = re.compile(r"\"'\"|'[^'\n]*'")  # as shlex quotes, and within that an apostrophe


def _readable(error: UnicodeError) -> tuple[str, int]:
    """For characters that an encoding lacks, others that all have."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(map(_in_ascii, lacking)), error.end


def _in_ascii(character: str) -> str:
    if 0xDC80 <= ord(character) <= 0xDCFF:  # a byte of a file's name that is no text
        return f"\\x{ord(character) - 0xDC00:02x}"
    return _ASCII.get(character) or character.encode("ascii", "backslashreplace").decode()


codecs.register_error(READABLE, _readable)
_gaps: set[int] = set()  # descriptors of the standard streams that were closed when the program began


def was_closed(descriptor: int) -> bool:
    """Whether this standard stream was closed when the program began: what has its number now leads nowhere."""
    return descriptor in _gaps


def put(stream: TextIO | None, text: str) -> OSError | None:
    """Writes the text, at once. Nothing is raised: what keeps it from being written is given back."""
    if stream is None or isinstance(stream, _Closed):
        return OSError(errno.EBADF, "it is closed")
    try:
        stream.write(_encodable(stream, text))
        stream.flush()
    except OSError as error:
        return error
    except ValueError as error:  # closed meanwhile, or an encoding that lacks ASCII too
        return OSError(errno.EBADF, str(error))
    return None


def written_on(stream: TextIO, text: str) -> str:
    """Clean text as ``stream`` shows it: in colour if that is shown there, in ASCII where it has no more.

    On a terminal long lines are broken between words; commands stay whole.
    """
    try:
        if stream.isatty():
            text = folded(text, terminal_width())
        text = shown_on(stream, text)
    except ValueError:  # closed: it is not written either
        return text
    return _encodable(stream, text)


def _encodable(stream: TextIO, text: str) -> str:
    """The text in characters that ``stream`` has."""
    encoding = getattr(stream, "encoding", None)
    if encoding is None or text.isascii():
        return text
    try:
        text.encode(encoding)
        return text
    except LookupError:
        encoding = "ascii"
    except UnicodeError:
        pass
    text = _COMMAND.sub(lambda found: _QUOTED.sub(lambda word: _pasteable(word[0], encoding), found[0]), text)
    try:
        return text.encode(encoding, READABLE).decode(encoding)
    except UnicodeError:
        return text.encode("ascii", READABLE).decode()


def _pasteable(word: str, encoding: str) -> str:
    """A quoted word of a command; where the encoding lacks some of it, as its bytes."""
    try:
        word.encode(encoding)
    except UnicodeError:
        return in_bytes(word[1:-1])
    return word


def in_bytes(word: str) -> str:
    """A word for a shell in ASCII alone, `$'\\345\\233\\276.npy'`: bash, zsh and ksh read the bytes from it."""
    plain = {ord("\\"): "\\\\", ord("'"): "\\'"}
    return "$'" + "".join(
        chr(byte).translate(plain) if 0x20 <= byte < 0x7F else f"\\{byte:03o}" for byte in os.fsencode(word)
    ) + "'"  # fmt: skip


class Surviving:
    """A stream for what writes to one itself, such as Rich: it raises nothing; None is a stream to nowhere."""

    def __init__(self, stream: TextIO | None):
        self._stream = stream

    def write(self, text: str) -> int:
        """Takes the text; it is written when the stream is flushed."""
        if self._stream is not None:
            with suppress(OSError, ValueError):
                self._stream.write(_encodable(self._stream, text))
        return len(text)

    def flush(self) -> None:
        """Writes what was taken."""
        if self._stream is not None:
            with suppress(OSError, ValueError):
                self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Closed(io.TextIOWrapper):
    """In place of a standard stream that was closed before the program began, for packages that expect one."""

    def __init__(self) -> None:
        super().__init__(open(os.devnull, "wb"), encoding="utf-8", errors=READABLE)  # noqa: PTH123, SIM115


@contextmanager
def standard_streams() -> Iterator[None]:
    """A program's stdout and stderr, from its first line to its last: whatever they are, they decide no exit code.

    No file that is opened meanwhile gets the number of a closed one, where what libraries say would land in it. What
    others print survives too. At the end nothing is left that Python could not write when it ends.
    """
    _fill_gaps()
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (_Closed() if stream is None else stream for stream in before)
    errors = [_readied(stream) for stream in (sys.stdout, sys.stderr)]
    try:
        yield
    finally:
        for stream, wanted in zip((sys.stdout, sys.stderr), errors, strict=True):
            _last_flush(stream)
            _set_errors(stream, wanted)
        sys.stdout, sys.stderr = before


def _fill_gaps() -> None:
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            _gaps.add(number)
            with suppress(OSError):  # the lowest free number is this one
                os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)


def _readied(stream: TextIO) -> str | None:
    """Makes it take all characters and wait for its reader; returns the error handler that it had."""
    with suppress(OSError, ValueError, AttributeError):
        if not os.get_blocking(stream.fileno()):
            os.set_blocking(stream.fileno(), True)
    before = stream.errors
    _set_errors(stream, READABLE)
    return before


def _set_errors(stream: TextIO, errors: str | None) -> None:
    if isinstance(stream, io.TextIOWrapper) and errors is not None:
        with suppress(OSError, ValueError):
            stream.reconfigure(errors=errors)


def _last_flush(stream: TextIO) -> None:
    """What cannot be written goes to nowhere: else Python tries again at its end, complains and changes the code."""
    try:
        stream.flush()
    except (OSError, ValueError):
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
            stream.flush()
