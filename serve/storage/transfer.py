"""Objects that go to a file of this machine or come from one, whole or not at all."""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from tempfile import gettempdir
from typing import BinaryIO

from wgan.serve.base import temporary
from wgan.serve.base.address import Address
from wgan.serve.base.errors import StoreError
from wgan.serve.base.files import writing
from wgan.serve.base.pipeline import Pipeline
from wgan.serve.storage import objects
from wgan.serve.storage.asking import PART
from wgan.serve.storage.objects import Entry

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

REQUESTS = 4  # at a time for one object: up to some sixteen parts wait in memory for the one before them
Progress = Callable[[int, int], object]  # bytes done, bytes in all


def fetch(address: Address, target: Path, progress: Progress | None = None, *, found: Entry | None = None) -> Entry:
    """Downloads an object. What came before a process was killed is not fetched again, unless the object has changed.

    ``found``: as a listing has it, so that it is not asked about again.

    Raises:
        StoreError: it is not there, changed meanwhile or cannot be read.
        OutputError: it cannot be written here.
    """
    found = found or objects.head(address)
    if found is None:
        raise StoreError(f"there is no {address}: look at its bucket and key")
    tag = "".join(filter(str.isalnum, found.tag))[:40]
    part = target.with_name(f".{target.name[:80]}.{tag}.part")
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with part.open("ab") as file:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX)  # of two processes the second one finds it done
            done = os.fstat(file.fileno()).st_size
            for content in _parts(found, done):
                file.write(content)
                file.flush()
                done += len(content)
                if progress is not None:
                    progress(done, found.size)
            os.fsync(file.fileno())
            if part.exists():
                part.replace(target)
    return found


def _parts(found: Entry, start: int) -> Iterator[bytes]:
    """An object's bytes from ``start`` on, some requests ahead. Raises StoreError."""
    assert isinstance(found.place, Address)
    pipeline: Pipeline[bytes] = Pipeline(REQUESTS)
    try:
        for at in range(start, found.size, PART):
            length = min(PART, found.size - at)
            yield from pipeline.put(partial(objects.read, found.place, at, length, found.tag))
        yield from pipeline.finish()
    finally:
        pipeline.abandon()


class Upload:
    """An object being made in a file of this machine, which is put in place on commit(); see `files.Replacement`.

    What is there at the start is replaced; where nothing is, nothing that came meanwhile is. Raises StoreError at once
    where the bucket cannot be reached.
    """

    def __init__(self, place: Address):
        self.path = place
        self._lock: int | None = None
        self._fresh = objects.head(place) is None
        if self._fresh:
            objects.check_bucket(place)
        with writing(Path(gettempdir())):
            tmp, self._lock = temporary.create(str(Path(gettempdir()) / place.name))
        self.tmp = Path(tmp)

    def open(self) -> BinaryIO:
        """The file to write to."""
        return self.tmp.open("wb")

    def commit(self) -> None:
        """Puts the object in place. Raises StoreError, also where another process has put another one there."""
        try:
            if not objects.write(self.path, self.tmp, self._fresh):
                raise StoreError(f"cannot write {self.path}: another process wrote it meanwhile: choose another --out")
        finally:
            self.discard()

    def discard(self) -> None:
        """Removes the file. What is in storage stays as it was."""
        with suppress(OSError):
            self.tmp.unlink()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
