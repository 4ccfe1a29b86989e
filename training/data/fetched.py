"""Objects on their way into the image cache: each is fetched once, and kept until the decoded images are whole.

They lie in `KEY.fetch/` beside the decoded images, each under a name made of its key, size and tag. So whoever goes on
after a kill or Ctrl-C fetches what is missing, an object that has changed is another one, and of a large one that was
begun the rest is fetched. Until then they are kept and not decoded at once: the order of the images, their classes and
what of them wgan made are known when all are there, and decoding that fails need not fetch again.
"""

import hashlib
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from wgan.serve import stores
from wgan.serve.base.address import Address
from wgan.serve.base.errors import DatasetError
from wgan.serve.base.files import Replacement, writing
from wgan.serve.base.pipeline import Pipeline
from wgan.serve.base.terminal import counted
from wgan.serve.outputs.room import free, lacks
from wgan.serve.storage.asking import PART
from wgan.serve.stores import Entry
from wgan.training.data.bucket import Listing
from wgan.training.data.cache import ProgressFn

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

REQUESTS = 16  # small objects at a time
_UNITS = (("GB", 10**9), ("MB", 10**6), ("kB", 10**3))
_BEAT = 0.1  # seconds between calls of the progress function


class Fetched:
    """The objects of a listing on this machine's disk, as far as they are fetched."""

    def __init__(self, listing: Listing, cache: Path):
        self.listing = listing
        self.folder = cache / f"{_digest(str(listing.address))}.fetch"

    def path(self, entry: Entry) -> Path:
        """Where an object lies, or will."""
        return self.folder / _digest(str(entry.place), entry.size, entry.tag)

    def bring(self, entry: Entry) -> Path:
        """Fetches an object, if it is not here. Raises StoreError, or OutputError where it cannot be kept."""
        path = self.path(entry)
        try:
            here = path.stat().st_size == entry.size
        except FileNotFoundError:
            here = False
        if not here:
            self._small(entry)
        return path

    def bring_all(
        self, entries: Iterable[Entry], progress: ProgressFn | None = None, *, decoded: int | None = None
    ) -> None:
        """Fetches the objects that are not here.

        Args:
            entries: the objects.
            progress: is told of megabytes.
            decoded: bytes that their images will take; they must find room as well. None: no matter.

        Raises:
            DatasetError: there is no room for them.
            StoreError: storage cannot be reached, or an object changed or vanished.
            OutputError: they cannot be written.
        """
        entries = list(entries)
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        missing = self._missing(entries)
        if not missing:
            return
        if decoded is not None:
            self._drop_others()
            self._check_room(missing, decoded)
        told = _Told(entries, missing, progress)
        for entry in missing:
            if entry.size > PART:
                assert isinstance(entry.place, Address)
                began = self._begun(entry)
                told.skip(began)
                step = _Step(told, began)
                stores.fetch(entry.place, self.path(entry), step, found=entry)
                told.add(0, objects=1)
        pipeline: Pipeline[int] = Pipeline(REQUESTS)
        try:
            for entry in missing:
                if entry.size <= PART:
                    for size in pipeline.put(partial(self._small, entry)):
                        told.add(size, objects=1)
            for size in pipeline.finish():
                told.add(size, objects=1)
        finally:
            pipeline.abandon()  # after Ctrl-C nobody waits for a request

    def remove(self) -> None:
        """Takes the objects away."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _small(self, entry: Entry) -> int:
        content = stores.read(entry.place, tag=entry.tag) if entry.size else b""
        if len(content) != entry.size:
            raise DatasetError(f"{entry.place} changed while it was fetched: run the command again")
        path = self.path(entry)
        file = path.with_name(f"{path.name}.{os.getpid()}.new")
        with writing(path):
            self.folder.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
            file.replace(path)
        return entry.size

    def _missing(self, entries: Iterable[Entry]) -> list[Entry]:
        sizes: dict[str, int] = {}
        with suppress(OSError), os.scandir(self.folder) as found:
            for file in found:
                with suppress(OSError):
                    sizes[file.name] = file.stat().st_size
        return [entry for entry in entries if sizes.get(self.path(entry).name) != entry.size]

    def _begun(self, entry: Entry) -> int:
        """Bytes of a large object that are here already."""
        return sum(path.stat().st_size for path in self.folder.glob(f".{self.path(entry).name}.*.part"))

    def _drop_others(self) -> None:
        """Removes what is not of the listing any more."""
        wanted = {self.path(entry).name for entry in self.listing.entries}
        with suppress(OSError):
            for path in self.folder.iterdir():
                if path.name.lstrip(".").split(".")[0] not in wanted or path.suffix == ".new":
                    path.unlink(missing_ok=True)

    def _check_room(self, missing: list[Entry], decoded: int) -> None:
        needed = decoded + sum(entry.size - (self._begun(entry) if entry.size > PART else 0) for entry in missing)
        there = free(self.folder)
        if there is not None and needed > there:
            what = f"{counted(len(missing), 'object')} of {self.listing.address} and their images"
            raise DatasetError(
                f"the image cache {self.folder.parent} has no room: {lacks(what, needed, there)}: free some, or name "
                "another place by --run"
            )


@contextmanager
def alone(listing: Listing, cache: Path) -> Iterator[None]:
    """Of the processes of a machine that want these images, one at a time; the others then find them decoded."""
    if fcntl is None:
        yield
        return
    path = cache / f"{_digest(str(listing.address))}.lock"
    Replacement(path).discard()  # makes the folder, and finds out whether it can be written to
    with writing(path):
        file = path.open("ab")
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class _Told:
    """How far it has come, for the progress function."""

    def __init__(self, entries: list[Entry], missing: list[Entry], progress: ProgressFn | None):
        self._progress = progress
        self._objects, self._of = len(entries) - len(missing), len(entries)
        self._total = sum(entry.size for entry in entries)
        self._here = self._total - sum(entry.size for entry in missing)
        self._unit, self._scale = next((unit for unit in _UNITS if self._total >= 10 * unit[1]), ("bytes", 1))
        self._began, self._before, self._last = time.monotonic(), self._here, 0.0

    def skip(self, size: int) -> None:
        """So many bytes had come before."""
        self._here += size
        self._before += size

    def add(self, size: int, objects: int = 0) -> None:
        """So many bytes, and objects that are whole, have come."""
        self._here += size
        self._objects += objects
        now = time.monotonic()
        if self._progress is None or (now - self._last < _BEAT and self._objects < self._of):
            return
        self._last = now
        speed = (self._here - self._before) / max(now - self._began, 1e-3) / 10**6
        what = f"fetching, {self._objects:,} of {self._of:,} objects at {speed:.1f} MB/s, {self._unit}"
        self._progress(min(self._here, self._total) // self._scale, self._total // self._scale, what)


class _Step:
    """From the bytes of one object that are there to those that have come since the last call."""

    def __init__(self, told: _Told, began: int):
        self._told, self._before = told, began

    def __call__(self, done: int, total: int) -> None:
        self._told.add(done - self._before)
        self._before = done


def _digest(*parts: object) -> str:
    return hashlib.sha256("\0".join(map(str, parts)).encode("utf-8", "surrogateescape")).hexdigest()[:32]
