"""Files of this machine and objects in storage, by the same verbs: `head`, `read`, `write`, `entries`, `remove`.

An object appears under its key when it is whole, or not at all: no name is ever changed. Whoever creates one finds out
whether it was there. A local path goes to the file system at once, without a package for storage.
"""

import io
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO, cast

from wgan.serve.base.address import Address, Place
from wgan.serve.base.errors import StoreError
from wgan.serve.base.files import Replacement, atomic_create, atomic_write, writing
from wgan.serve.base.files import opened as opened_path
from wgan.serve.base.streams import Stream
from wgan.serve.storage import objects
from wgan.serve.storage.objects import Entry, check_bucket
from wgan.serve.storage.transfer import Progress, Upload, fetch

__all__ = [
    "Entry",
    "Progress",
    "Upload",
    "check_bucket",
    "entries",
    "fetch",
    "head",
    "opened",
    "read",
    "reader",
    "remove",
    "write",
]
_BUFFER = 2**16  # bytes that a reader asks for at least


def head(place: Place) -> Entry | None:
    """What is there; None where nothing is, or a folder. Raises StoreError, for a path OutputError."""
    if isinstance(place, Address):
        return objects.head(place)
    with writing(place), suppress(FileNotFoundError, NotADirectoryError):
        status = place.stat()
        return Entry(place, status.st_size, str(status.st_mtime_ns)) if place.is_file() else None
    return None


def read(place: Place, start: int = 0, length: int | None = None, *, tag: str | None = None) -> bytes:
    """The bytes from ``start`` on, at most ``length``; past the end there are none.

    Args:
        place: a file or an object.
        start: in bytes.
        length: in bytes; None: to the end.
        tag: of an object, which must still be that one.

    Raises:
        StoreError: it is not there, has changed or cannot be read.
        OSError: the same of a path.
    """
    if isinstance(place, Address):
        return objects.read(place, start, length, tag)
    with place.open("rb") as file:
        file.seek(start)
        return file.read(-1 if length is None else length)


def write(place: Place, content: bytes | Path, *, create: bool = False) -> bool:
    """Puts bytes, or a file's, in place, whole or not at all; large ones go to storage in parts.

    Args:
        place: where to.
        content: what to put there.
        create: leave what is there already as it is.

    Returns:
        Whether ``content`` is what is there now; False only with ``create``, where something else was.

    Raises:
        StoreError: storage cannot be reached, or refuses.
        OutputError: the same of a path.
    """
    if isinstance(place, Address):
        return objects.write(place, content, create)
    if not create:
        atomic_write(place, content if isinstance(content, bytes) else partial(_copy, content))
        return True
    whole = content if isinstance(content, bytes) else content.read_bytes()
    return atomic_create(place, whole) or place.read_bytes() == whole


def entries(place: Place, *, deep: bool = True) -> Iterator[Entry]:
    """The files below a folder or the objects below a prefix, by name; not ``deep``: those right below it.

    Raises StoreError; OutputError where a folder cannot be listed. What is not there holds none.
    """
    if isinstance(place, Address):
        yield from objects.below(place) if deep else objects.right_below(place)
        return
    with writing(place):
        for folder, below, names in os.walk(place):
            below.sort()
            for name in sorted(names):
                if (entry := head(Path(folder, name))) is not None:
                    yield entry
            if not deep:
                return


def remove(place: Place) -> None:
    """Takes a file or an object away, if it is there. Raises StoreError, for a path OutputError."""
    if isinstance(place, Address):
        objects.remove(place)
        return
    with writing(place):
        place.unlink(missing_ok=True)


def reader(place: Place) -> BinaryIO:
    """A file to read from and seek in; of an object it fetches the parts that are read.

    Raises StoreError where there is no such object; OSError for a path.
    """
    if isinstance(place, Address):
        if (found := head(place)) is None:
            raise StoreError(f"there is no {place}: look at its bucket and key")
        return cast(BinaryIO, io.BufferedReader(objects.Ranges(place, found), _BUFFER))
    return place.open("rb")


def opened(place: Place) -> Replacement | Stream | Upload:
    """What to write a place by: a pipe or device through, anything else as a whole. Raises WganError."""
    return Upload(place) if isinstance(place, Address) else opened_path(place)


def _copy(source: Path, file: BinaryIO) -> None:
    with source.open("rb") as whole:
        shutil.copyfileobj(whole, file)
