"""The verbs of `stores` for objects."""

import io
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from wgan.serve.base.address import Address, Place
from wgan.serve.storage.asking import PART, SINGLE, Absent, Beyond, Taken, asked

_PAGE = 1000  # objects of a listing at a time


@dataclass(frozen=True)
class Entry:
    """A file or an object that is there; ``tag`` is another one whenever its content is."""

    place: Place
    size: int  # bytes
    tag: str


def head(address: Address) -> Entry | None:
    """What is there, None where nothing is."""
    try:
        return _entry(address, asked(address, "look at", lambda storage, store: storage.head(store, address.key)))
    except Absent:
        return None


def read(address: Address, start: int, length: int | None, tag: str | None) -> bytes:
    """As `stores.read`."""
    if length == 0:
        return b""
    options: dict[str, Any] = {} if tag is None else {"if_match": tag}
    if start or length is not None:
        options["range"] = {"offset": start} if length is None else (start, start + length)

    def get(storage: Any, store: Any) -> bytes:
        return bytes(storage.get(store, address.key, options=options).bytes())

    with suppress(Beyond):
        return asked(address, "read", get)
    return b""


def write(address: Address, content: bytes | Path, create: bool) -> bool:
    """As `stores.write`."""
    size = len(content) if isinstance(content, bytes) else content.stat().st_size
    parts = size > SINGLE
    if create and parts and head(address) is not None:  # what goes in parts replaces: the same bytes, by now
        return _holds(address, content, size)
    mode = "create" if create and not parts else "overwrite"

    def put(storage: Any, store: Any) -> None:
        storage.put(store, address.key, content, mode=mode, use_multipart=parts, chunk_size=PART, max_concurrency=4)

    try:
        asked(address, "write", put)
    except Taken:  # by another, or by this very call, whose answer was lost
        return _holds(address, content, size)
    return True


def _holds(address: Address, content: bytes | Path, size: int) -> bool:
    """Whether these bytes are there."""
    found = head(address)
    if found is None or found.size != size:
        return False
    with io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as file:
        return all(
            file.read(PART) == read(address, start, min(PART, size - start), found.tag)
            for start in range(0, size, PART)
        )


def below(prefix: Address) -> Iterator[Entry]:
    """All objects below; a listing that breaks off goes on after the last one."""
    last: str | None = None
    while True:
        found = asked(prefix, "list", partial(_page, prefix.key or None, last))
        if not found:
            return
        for meta in found:
            yield _entry(prefix, meta)
        last = found[-1]["path"]


def _page(prefix: str | None, after: str | None, storage: Any, store: Any) -> list[Any]:
    return list(next(iter(storage.list(store, prefix, offset=after, chunk_size=_PAGE)), ()))


def check_bucket(address: Address) -> None:
    """Raises StoreError where its bucket is missing or out of reach, of which `head` says no more than of an object."""
    next(right_below(address), None)


def right_below(prefix: Address) -> Iterator[Entry]:
    """The objects that lie in no further prefix, by name."""
    found = asked(prefix, "list", lambda storage, store: storage.list_with_delimiter(store, prefix.key or None))
    for meta in sorted(found["objects"], key=lambda meta: str(meta["path"])):
        yield _entry(prefix, meta)


def remove(address: Address) -> None:
    """Takes it away, if it is there."""
    with suppress(Absent):
        asked(address, "remove", lambda storage, store: storage.delete(store, address.key))


class Ranges(io.RawIOBase):
    """An object, read by ranges."""

    def __init__(self, address: Address, entry: Entry):
        self._address, self._entry, self._at = address, entry, 0

    def readable(self) -> bool:
        """That it is."""
        return True

    def seekable(self) -> bool:
        """That it is."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Where the next bytes are read."""
        self._at = max(0, offset + (0, self._at, self._entry.size)[whence])
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fetches as many bytes as the buffer takes. Raises StoreError."""
        length = min(len(buffer), max(0, self._entry.size - self._at))
        found = read(self._address, self._at, length, self._entry.tag)
        buffer[: len(found)] = found
        self._at += len(found)
        return len(found)


def _entry(near: Address, meta: Any) -> Entry:
    tag = meta["e_tag"] or meta["version"] or f"{meta['last_modified']}"
    return Entry(Address(near.scheme, near.bucket, meta["path"]), meta["size"], str(tag))
