"""Training data in object storage: fetched once, decoded into the cache, and from then on known by its listing."""

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from wgan.serve import stores
from wgan.serve.base.errors import DatasetError, OutputError
from wgan.serve.base.files import atomic_write
from wgan.serve.base.foreign_json import parse_json
from wgan.serve.outputs.manifest import LONGEST
from wgan.serve.stores import Entry
from wgan.training.data.archive import MAX_FILE, Zip, check_size
from wgan.training.data.bucket import IMAGE_FILES, ZIP, Listing, listed, seen_lately
from wgan.training.data.cache import Cached, ProgressFn, load, load_or_build
from wgan.training.data.decode import Shape
from wgan.training.data.fetched import Fetched, alone
from wgan.training.data.generated import Skipped, deciding, outside_of_own
from wgan.training.data.listing import class_labels, is_image
from wgan.training.data.sources import Files, Source, check_images
from wgan.training.data.tar_index import BLOCK, Damaged, members_of
from wgan.training.data.tars import Tars

HEADS = 4  # tars that are looked into before they are fetched
HEAD, LONGEST_HEAD = 2**22, 2**26  # bytes of each: at first, and where no image ends in them


@dataclass(frozen=True)
class Known:
    """What is kept of a source, so that its images need not be fetched again.

    Args:
        name: for a report.
        images: how many there are, with the broken ones.
        classes: their names.
        skipped: what wgan made.
    """

    name: str
    images: int
    classes: tuple[str, ...] | None
    skipped: Skipped


class Stored(Files):
    """Images below a prefix, in the order of their names. One that is not here yet is fetched when it is opened."""

    def __init__(self, fetched: Fetched):
        listing = fetched.listing
        self.name, self.key, self._fetched = listing.name, listing.key, fetched
        objects = dict(zip(listing.names, listing.entries, strict=True))

        def read(path: str) -> bytes | None:
            entry = objects[path]
            return fetched.bring(entry).read_bytes() if entry.size <= LONGEST else None

        names = [name for name in listing.names if is_image(name)]
        kept, self.skipped = outside_of_own(names, objects, read)
        self.names = [names[index] for index in kept]
        self._entries = [objects[name] for name in self.names]
        own = deciding(self.names, self._is_own)
        self.skipped = self.skipped.more([self.names[index] for index in sorted(own)])
        self._entries = [entry for index, entry in enumerate(self._entries) if index not in own]
        self.names = [name for index, name in enumerate(self.names) if index not in own]
        self.labels, self.classes = class_labels(self.names)

    def bring(self, indices: list[int]) -> None:
        """Fetches some images, several at a time. Raises WganError."""
        self._fetched.bring_all([self._entries[index] for index in indices if self._entries[index].size <= MAX_FILE])

    @contextmanager
    def _open(self, index: int) -> Iterator[BinaryIO]:
        entry = self._entries[index]
        check_size(entry.size, MAX_FILE)
        with self._fetched.bring(entry).open("rb") as file:
            yield file


def open_stored(data: str, shape: Shape, cache: Path, progress: ProgressFn | None) -> tuple[Cached, Known]:
    """The images at an address, decoded: by one listing where they were before, else fetched and decoded.

    Raises:
        DatasetError: there are none, or no room for them.
        StoreError: storage cannot be reached.
    """
    listing = seen_lately(data) or listed(data)
    try:
        with alone(listing, cache):
            known, cached = _read_known(listing, cache), load(listing.key, shape, cache)
            if known is not None and cached is not None:
                return cached, known
            fetched = Fetched(listing, cache)
            images = sum(map(is_image, listing.names)) if listing.kind == IMAGE_FILES else 0
            # of one object that is too large for an image none is fetched
            wanted = [entry for entry in listing.entries if listing.kind != IMAGE_FILES or entry.size <= MAX_FILE]
            fetched.bring_all(wanted, progress, decoded=images * shape.image_size**2 * shape.channels)
            source = _here(fetched)
            check_images(source, str(listing.address))
            cached = load_or_build(source, shape, cache, progress)
            known = Known(source.name, len(source.names), source.classes, source.skipped)
            atomic_write(_known(listing, cache), json.dumps(asdict(known)).encode())
            fetched.remove()
            return cached, known
    except OutputError as error:
        raise DatasetError(f"the image cache: {error}") from None


@contextmanager
def looked_into(listing: Listing, cache: Path) -> Iterator[tuple[Source, float]]:
    """A source to look at some images of, for which no more than these is fetched; and how many it stands for each.

    Of tars that are the beginnings of a few.
    """
    fetched = Fetched(listing, cache)
    if listing.kind == IMAGE_FILES:
        yield Stored(fetched), 1.0
    elif listing.kind == ZIP:
        with stores.reader(listing.entries[0].place) as file:
            yield Zip(file, str(listing.address), listing.name), 1.0
    else:
        count = len(listing.entries)
        some = sorted({index * (count - 1) // max(1, min(HEADS, count) - 1) for index in range(min(HEADS, count))})
        entries, total = [listing.entries[index] for index in some], 0
        paths = []
        for entry in entries:
            start = _head(entry)
            total += len(start)
            fetched.folder.mkdir(parents=True, exist_ok=True)
            paths.append(fetched.path(entry).with_suffix(".head"))
            paths[-1].write_bytes(start)
        try:
            yield Tars(paths, listing.name, [str(entry.place) for entry in entries]), listing.size / total
        finally:
            for path in paths:
                path.unlink(missing_ok=True)
            with suppress(OSError):  # where something was fetched before it stays
                fetched.folder.rmdir()


def _here(fetched: Fetched) -> Source:
    """The source of objects that are all here; its key is the listing's."""
    listing = fetched.listing
    source: Source
    if listing.kind == IMAGE_FILES:
        return Stored(fetched)
    paths = [fetched.path(entry) for entry in listing.entries]
    if listing.kind == ZIP:
        source = Zip(paths[0], str(listing.address), listing.name)
    else:
        source = Tars(paths, listing.name, [str(entry.place) for entry in listing.entries])
    source.key = listing.key
    return source


def _head(entry: Entry) -> bytes:
    """The beginning of a tar, up to the end of its last whole sample; of what is no tar some bytes that show it.

    Raises:
        DatasetError: not one image is in it.
    """
    length = HEAD
    while True:
        start = stores.read(entry.place, 0, length, tag=entry.tag)
        if len(start) == entry.size:
            return start
        ends: dict[str, int] = {}  # of samples
        images: set[str] = set()
        try:
            for member in members_of(io.BytesIO(start), len(start)):
                sample = member.name.rpartition("/")[0], member.name.rpartition("/")[2].split(".", 1)[0]
                ends["/".join(sample)] = member.offset + -(-member.size // BLOCK) * BLOCK
                images |= {"/".join(sample)} if is_image(member.name) else set()
        except Damaged as damage:
            if not damage.cut:
                return start
        *whole, _ = ends or [""]
        if not images.isdisjoint(whole):
            return start[: ends[whole[-1]]]
        if length >= LONGEST_HEAD:
            raise DatasetError(f"{entry.place} has no image in its first {length:,} bytes: leave it out")
        length *= 4


def _known(listing: Listing, cache: Path) -> Path:
    return cache / f"{listing.key[:32]}.source.json"


def _read_known(listing: Listing, cache: Path) -> Known | None:
    with suppress(OSError, ValueError, KeyError, TypeError):
        held = parse_json(_known(listing, cache).read_bytes())
        skipped = held["skipped"]
        made = Skipped(tuple(skipped["folders"]), int(skipped["images"]), str(skipped["such_as"]))
        classes = None if held["classes"] is None else tuple(map(str, held["classes"]))
        return Known(str(held["name"]), int(held["images"]), classes, made)
    return None
