"""Artifacts in object storage: fetched into the user's cache, once, and opened from there.

What lies in the cache is named after its address and the tags of its objects, so it never changes: an object that has
changed is another one, and one that has not costs a question to storage. Files that an artifact needs beside it come
along. What was not used for longest is removed when all take more than `KEEP`.
"""

import hashlib
import os
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath

from wgan.serve.artifacts.containers import Damaged
from wgan.serve.artifacts.external_data import external_names
from wgan.serve.artifacts.formats import CHECKPOINT, FORMATS, Format, format_by_ending
from wgan.serve.base.address import Address, Place
from wgan.serve.base.errors import ArtifactError, OutputError
from wgan.serve.base.fetched import note
from wgan.serve.base.files import cache_folder, writing
from wgan.serve.base.progress import counter
from wgan.serve.base.terminal import detail
from wgan.serve.stores import Entry, check_bucket, entries, fetch, head

KEEP = 2**33  # bytes of artifacts that stay in the cache
RECENT = 3600.0  # seconds for which what was used stays whatever it takes: another process may be at it
_MIB = 2**20

Wanted = dict[str, Entry]  # by the name below the artifact's own prefix


def local(place: Place, *, reference: bool = False) -> Path:
    """The file of this machine that a path or an address names; an object is fetched, a prefix with all in it.

    Args:
        place: an artifact or a checkpoint, or a folder of them.
        reference: also fetch the checkpoint beside an artifact, where there is one: what it is measured against.

    Raises:
        ArtifactError: nothing is there.
        StoreError: storage cannot be reached, or refuses.
        OutputError: it cannot be written here.
    """
    if isinstance(place, Path):
        return place
    row = format_by_ending(place)
    if row is None:
        return _kept(place, place, _folder(place))
    if row.container.folder:
        return _kept(place, place.parent, _below(place, place.parent)) / place.name
    found = head(place)
    if found is None:
        check_bucket(place)
        raise ArtifactError(f"no file {place}: look at its bucket and key, or name another with --model")
    wanted = {place.name: found} | _beside(place, row, reference)
    path = _kept(place, place.parent, wanted) / place.name
    if row.name == "onnx" and (weights := _weights(place, path)):
        return _kept(place, place.parent, wanted | weights) / place.name
    return path


def state(place: Address) -> str:
    """A text that is another one when the artifact, or the metadata beside it, is. Raises StoreError."""
    row = format_by_ending(place)
    if row is None or row.container.folder:
        return _digest(place, _below(place, place))
    found = head(place)
    return "" if found is None else _digest(place, {place.name: found} | _beside(place, row, False))


def _beside(place: Address, row: Format, reference: bool) -> Wanted:
    """The metadata of a plan, and the checkpoint."""
    names = [f"{place.name}.json"] * row.container.beside + [CHECKPOINT.file] * (reference and row != CHECKPOINT)
    found = {name: head(place.parent / name) for name in names}
    return {name: entry for name, entry in found.items() if entry is not None}


def _weights(place: Address, path: Path) -> Wanted:
    """Objects that hold weights of an ONNX file; one that is not there, or not below, is refused when it is read."""
    wanted: Wanted = {}
    with suppress(Damaged):
        for name in external_names(path.read_bytes()):
            if _is_below(name) and (found := head(place.parent / name)) is not None:
                wanted[name] = found
    return wanted


def _folder(prefix: Address) -> Wanted:
    """What `wgan export` writes into a folder, and what lies beside it under the same name."""
    wanted = {entry.place.name: entry for entry in entries(prefix, deep=False) if _is_ours(entry.place.name)}
    web = FORMATS["web"]
    for name in [web.file, *(f"generator.{precision}{web.ending}" for precision in web.precisions[1:])]:
        wanted |= _below(prefix / name, prefix)
    if not wanted:
        raise ArtifactError(f"nothing exported in {prefix}: look at its bucket and key, or name another with --model")
    return wanted


def _is_ours(name: str) -> bool:
    return name.startswith("generator") and _is_below(name)


def _below(prefix: Address, root: Address) -> Wanted:
    """All objects below a prefix, by their names below ``root``."""
    start = len(f"{root.key}/") if root.key else 0
    wanted = {}
    for entry in entries(prefix):
        assert isinstance(entry.place, Address)
        name = entry.place.key[start:]
        if not _is_below(name):
            raise ArtifactError(f"{prefix} holds {name[:80]!r}, which is no file's name")
        wanted[name] = entry
    return wanted


def _is_below(name: str) -> bool:
    """Whether a file of this name lies below the folder that it is put in; no name of an object says that by itself."""
    plain = name.isprintable() and not any(character in name for character in "\\:")
    return plain and bool(name) and all(part not in ("", ".", "..") for part in name.split("/"))


def _digest(place: Address, wanted: Mapping[str, Entry]) -> str:
    endpoint = os.environ.get("AWS_ENDPOINT_URL", "") if place.scheme == "s3" else ""
    parts = [str(place), endpoint, *(f"{name}\0{entry.tag}\0{entry.size}" for name, entry in sorted(wanted.items()))]
    return hashlib.sha256("\0\0".join(parts).encode()).hexdigest()[:32]


def _kept(place: Address, prefix: Address, wanted: Wanted) -> Path:
    """The folder of the cache that holds these objects; ``place`` is what was typed, ``prefix`` what they lie below."""
    if not wanted:
        raise ArtifactError(f"nothing in {place}: look at its bucket and key, or name another with --model")
    cache = cache_folder()
    if cache is None:
        raise OutputError(f"{place} is kept in the user's cache, and there is no home for one: set XDG_CACHE_HOME")
    root = cache / "models"
    folder = root / _digest(place, wanted)
    note(folder, prefix)
    with writing(root):
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(exist_ok=True)
        os.utime(folder)
    missing = {name: entry for name, entry in wanted.items() if not (folder / PurePosixPath(name)).is_file()}
    if not missing:
        detail(f"{place} is in the cache")
        return folder
    _fetch(place, folder, missing)
    _tidy(root)
    return folder


def _fetch(place: Address, folder: Path, missing: Wanted) -> None:
    total, before = sum(entry.size for entry in missing.values()), 0
    with counter(f"MiB of {place}") as progress:
        for name, entry in missing.items():
            assert isinstance(entry.place, Address)

            def done(part: int, _: int, before: int = before) -> None:
                progress((before + part) // _MIB, -(-total // _MIB), "")

            fetch(entry.place, folder / PurePosixPath(name), done)
            before += entry.size
    detail(f"{place} is fetched into the cache")


def _tidy(root: Path) -> None:
    """Removes what was not used for longest, until the rest takes no more than `KEEP`; errors are no one's concern."""
    with suppress(OSError):
        folders = [(folder.stat().st_mtime, folder) for folder in root.iterdir() if folder.is_dir()]
        sizes = {folder: sum(file.stat().st_size for file in folder.rglob("*")) for _, folder in folders}
        total = sum(sizes.values())
        for used, folder in sorted(folders):
            if total <= KEEP or time.time() - used < RECENT:
                return
            shutil.rmtree(folder, ignore_errors=True)
            total -= sizes[folder]
