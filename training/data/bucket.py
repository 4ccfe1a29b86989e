"""Images in object storage: what an address stands for, by one listing.

An address is a prefix of images, a .zip, a .tar, a range of tars in braces, or a prefix that holds tars and no images.
"""

import time
from dataclasses import dataclass
from functools import cached_property

from wgan.serve import stores
from wgan.serve.base.address import Address, parse_address
from wgan.serve.base.errors import DatasetError
from wgan.serve.base.terminal import counted
from wgan.serve.outputs.folder import FILE
from wgan.serve.outputs.marks import IMAGES
from wgan.serve.stores import Entry
from wgan.training.data.braces import expanded, has_braces, missing_of
from wgan.training.data.generated import RUN
from wgan.training.data.listing import fingerprint, is_image, printable

VERSION = 1  # of what is made of the same objects
IMAGE_FILES, ZIP, TARS = "images", "zip", "tars"
_PACKED = (".tar", ".zip")
FRESH = 600.0  # seconds for which a look's listing stands for the next


@dataclass(frozen=True)
class Listing:
    """What is there.

    Args:
        address: as it was named.
        kind: `IMAGE_FILES`, `ZIP` or `TARS`.
        entries: the objects to fetch, in their order.
        names: of each, below the prefix.
    """

    address: Address
    kind: str
    entries: tuple[Entry, ...]
    names: tuple[str, ...]

    @property
    def name(self) -> str:
        """For a report: the last name alone."""
        return printable(self.address.name or self.address.bucket)

    @property
    def size(self) -> int:
        """Bytes of all objects."""
        return sum(entry.size for entry in self.entries)

    @cached_property
    def key(self) -> str:
        """Hex; another one whenever an object is added, removed or changed."""
        rows = ((str(entry.place), entry.size, entry.tag) for entry in self.entries)
        return fingerprint([("storage", VERSION, self.kind), *rows])


_looked_at: dict[str, tuple[float, Listing]] = {}


def seen_lately(data: str) -> Listing | None:
    """The listing that `look` has made of ``data`` a moment ago, once: who opens what was looked at needs no other."""
    made, listing = _looked_at.pop(data, (0.0, None))
    return listing if time.monotonic() - made < FRESH else None


def look(data: str) -> Listing:
    """`listed`, kept for who opens the data next."""
    listing = listed(data)
    _looked_at[data] = time.monotonic(), listing
    return listing


def listed(data: str) -> Listing:
    """Looks up what the address ``data`` stands for.

    Raises:
        ConfigError: it is no address.
        DatasetError: nothing is there that could be images.
        StoreError: storage cannot be reached.
    """
    address = parse_address(data, "data")
    if has_braces(address.key):
        return _range(address)
    if address.suffix.lower() in _PACKED:
        found = stores.head(address)
        if found is not None:
            kind = ZIP if address.suffix.lower() == ".zip" else TARS
            return Listing(address, kind, (found,), (address.name,))
    return _below(address)


def _below(prefix: Address) -> Listing:
    start = len(f"{prefix.key}/") if prefix.key else 0
    files: list[tuple[str, Entry]] = []
    tars: list[tuple[str, Entry]] = []
    seen = 0
    for entry in stores.entries(prefix):
        seen += 1
        name = _key(entry)[start:]
        if is_image(name) or name.rpartition("/")[2] in (FILE, *RUN):
            files.append((name, entry))
        elif "/" not in name and name.lower().endswith(".tar"):
            tars.append((name, entry))
    if not seen:
        what = "no object, neither of this key nor below it" if prefix.key else "nothing"
        raise DatasetError(f"{prefix} holds {what}: look at its bucket and key")
    images = any(is_image(name) for name, _ in files)
    chosen = sorted(files if images or not tars else tars, key=lambda row: row[0])
    if not chosen or not (images or tars):
        raise DatasetError(
            f"{prefix} holds {counted(seen, 'object')} and no images (looked for {', '.join(IMAGES)}, or .tar)"
        )
    kind = IMAGE_FILES if images else TARS
    return Listing(prefix, kind, tuple(entry for _, entry in chosen), tuple(name for name, _ in chosen))


def _range(address: Address) -> Listing:
    """The tars that braces stand for, found by one listing of each prefix that they lie in."""
    wanted = [Address(address.scheme, address.bucket, key) for key in expanded(address.key)]
    there: dict[str, Entry] = {}
    for parent in dict.fromkeys(each.parent for each in wanted):
        there |= {_key(entry): entry for entry in stores.entries(parent, deep=False)}
    missing = [each for each in wanted if each.key not in there]
    if missing:
        raise DatasetError(missing_of(str(address), len(wanted), len(missing), str(missing[0])))
    return Listing(address, TARS, tuple(there[each.key] for each in wanted), tuple(each.key for each in wanted))


def _key(entry: Entry) -> str:
    assert isinstance(entry.place, Address)
    return entry.place.key
