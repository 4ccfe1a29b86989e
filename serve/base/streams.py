"""What is written through and never replaced: pipes, devices, and this process's own descriptors such as stdout.

What has been written to them stays written, whole or not.
"""

import io
import os
import re
import select
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

from wgan.serve.base.address import Address, Place
from wgan.serve.base.written import was_closed

_OWN = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}
_NUMBERED = re.compile(r"/(?:dev|proc/self)/fd/([0-9]{1,9})")


def descriptor_of(path: Place) -> int | None:
    """The descriptor of this process that `/dev/stdout` and `/dev/fd/63` name; None of any other place."""
    if isinstance(path, Address):
        return None
    text = path.as_posix()
    if (match := _NUMBERED.fullmatch(text)) is not None:
        return int(match[1])
    return _OWN.get(text)


def is_stream(path: Place) -> bool:
    """Whether it is there and neither a file nor a folder, also behind a link; or a descriptor of this process."""
    if isinstance(path, Address):
        return False
    if descriptor_of(path) is not None:
        return True
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def refuse_terminal(path: Place) -> None:
    """Raises OSError where what is written there would be shown to a person, or where stdout is closed."""
    number = descriptor_of(path)
    if number is not None:
        _check(number)


class Stream:
    """A pipe, device or descriptor that is open for writing; of the interface that `files.Replacement` has.

    A pipe with a name is opened when somebody reads it. Raises OSError.
    """

    def __init__(self, path: Path):
        self.path = path
        number = descriptor_of(path)
        if number is not None:
            _check(number)
            descriptor = os.dup(number)
        else:
            descriptor = os.open(path, os.O_WRONLY)
        self._file = _Raw(descriptor, "wb")
        if self._file.isatty():
            self.discard()
            _check(descriptor=None)

    def open(self) -> Any:
        """The file to write to. It cannot be sought in, and closing it is not the end of what it leads to."""
        return self._file

    def commit(self) -> None:
        """Nothing is left to be written."""
        self._file.close()

    def discard(self) -> None:
        """Let go. What was written stays."""
        with suppress(OSError):
            self._file.close()


def _check(descriptor: int | None) -> None:
    if descriptor is not None and was_closed(descriptor):
        raise OSError(0, "it was closed when the program began")
    if descriptor is None or os.isatty(descriptor):
        raise OSError(0, "it is a terminal: send what is written into a file or to a program")


class _Raw(io.FileIO):
    """Writes all that it is given, and seeks nowhere: stdout may be a file to which others append."""

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        left = view
        while left:
            if (done := super().write(left)) is None:  # whoever shares the descriptor wants it not to wait
                select.select([], [self], [])
                continue
            left = left[done:]
        return len(view)

    def seekable(self) -> bool:
        return False

    def seek(self, *place: Any) -> int:
        raise io.UnsupportedOperation("seek")

    def tell(self) -> int:
        raise io.UnsupportedOperation("tell")
