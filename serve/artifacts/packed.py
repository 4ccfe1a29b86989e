"""A folder that is one artifact: packed into bytes, which are checked as a file's are, and unpacked whole.

The bytes are an archive of its files, uncompressed, by name; its metadata `wgan.json` lies beside them and is not in
it. Names that begin with a dot are the host's or the system's (`.nojekyll`, `.DS_Store`): they count for nothing, and
stay where they are when the folder is replaced.
"""

import hashlib
import io
import os
import shutil
import sys
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath

from wgan.serve.base.errors import OutputError
from wgan.serve.base.files import atomic_write, sync_folder, writing

METADATA = "wgan.json"
MOST_FILES, MOST_BYTES = 256, 2**30


class NotPacked(Exception):
    """The folder, or the archive, is none of ours; the text says why."""


def pack(folder: Path) -> bytes:
    """The files of a folder as one archive: the same bytes for the same files.

    Raises:
        NotPacked: it holds what no export writes: links that leave it, devices, too many files or bytes.
        OSError: a file cannot be read.
    """
    files: dict[str, bytes] = {}
    root, size = folder.resolve(), 0
    for place, folders, names in os.walk(folder, onerror=_raise):
        if linked := [name for name in folders if not name.startswith(".") and (Path(place) / name).is_symlink()]:
            raise NotPacked(f"{Path(place) / linked[0]} is a link to a folder")
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(place) / name
            inner = path.relative_to(folder).as_posix()
            if name.startswith(".") or inner == METADATA:
                continue
            if not path.resolve().is_relative_to(root):
                raise NotPacked(f"{path} is a link that leaves the folder")
            if not path.is_file():
                raise NotPacked(f"{path} is no file")
            size += path.stat().st_size
            if len(files) == MOST_FILES or size > MOST_BYTES:
                raise NotPacked(f"it holds more than {MOST_FILES} files or {MOST_BYTES:,} bytes")
            files[inner] = path.read_bytes()
    return archive(files)


def _raise(error: OSError) -> None:
    raise error


def archive(files: Mapping[str, bytes]) -> bytes:
    """The archive of these files, by their paths in the folder, with slashes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for name in sorted(files):
            packed.writestr(zipfile.ZipInfo(name), files[name])  # a fixed date
    return buffer.getvalue()


def files_of(data: bytes) -> dict[str, bytes]:
    """What `archive` packed, by path.

    Raises:
        NotPacked: it is no such archive, or a name in it leaves the folder.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            listed = packed.infolist()
            if len(listed) > MOST_FILES or any(info.compress_type != zipfile.ZIP_STORED for info in listed):
                raise NotPacked("no archive of a folder")
            for info in listed:
                name = PurePosixPath(info.filename)
                if name.is_absolute() or ".." in name.parts or "\\" in info.filename or ":" in info.filename:
                    raise NotPacked(f"{info.filename} leaves the folder")
            return {info.filename: packed.read(info) for info in listed}
    except (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError, OSError, RuntimeError):
        raise NotPacked("no archive of a folder") from None


def digest(data: bytes) -> str:
    """SHA-256, in hex, of the names, the sizes and the contents in an archive: not of how it is written.

    Raises:
        NotPacked: as `files_of`.
    """
    total = hashlib.sha256()
    for name, content in sorted(files_of(data).items()):
        total.update(f"{name}\0{len(content)}\0".encode())
        total.update(content)
    return total.hexdigest()


def unpack(path: Path, data: bytes, metadata: bytes, *, ours: bool) -> Path | None:
    """Writes the folder ``path``: the files of an archive, and the metadata. It is replaced whole or not at all.

    Args:
        path: the folder; what lies there already is replaced.
        data: as `archive` made it.
        metadata: of its `wgan.json`.
        ours: whether all that is there is known to be an export's. Otherwise it is moved aside, as it may hold a
            user's files.

    Returns:
        Where the old folder was moved to; None where there was none, or it was an export's.

    Raises:
        OutputError: it cannot be written, or what is there is no artifact at all.
    """
    path = path.resolve() if path.is_symlink() else path
    if path.exists() and not (path / METADATA).is_file() and (path.is_file() or any(path.iterdir())):
        raise OutputError(f"{path} holds no {METADATA}, so it is not wgan's to replace: move it away first")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in path.parent.glob(f".{path.name}.*.unpacked"):  # of killed processes: the folder has one owner
            shutil.rmtree(left, ignore_errors=True)
        fresh = path.with_name(f".{path.name}.{os.getpid()}.unpacked")
        try:
            _fill(fresh, {**files_of(data), METADATA: metadata}, path)
            return _swap(fresh, path, ours)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)


def _fill(fresh: Path, files: Mapping[str, bytes], old: Path) -> None:
    fresh.mkdir()
    for name, content in files.items():
        place = fresh / name
        place.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(place, content)
    with suppress(FileNotFoundError):
        for entry in old.iterdir():
            if entry.name.startswith("."):
                if entry.is_dir() and not entry.is_symlink():
                    shutil.copytree(entry, fresh / entry.name, symlinks=True)
                else:
                    shutil.copy2(entry, fresh / entry.name, follow_symlinks=False)
    sync_folder(fresh)


def _swap(fresh: Path, path: Path, ours: bool) -> Path | None:
    """Puts ``fresh`` in the place of ``path``, which becomes ``fresh``, or lies aside where it is not ours."""
    if not path.exists():
        fresh.replace(path)
        sync_folder(path.parent)
        return None
    if not _exchanged(fresh, path):
        aside = _aside(path)
        path.replace(aside)
        fresh.replace(path)
        aside.replace(fresh)
    kept = None
    if not ours:
        kept = _aside(path)
        fresh.replace(kept)
    sync_folder(path.parent)
    return kept


def _aside(path: Path) -> Path:
    """`generator.web.old`, or with a number the first such name that is free."""
    names = (path.with_name(f"{path.name}.old{'' if number == 1 else number}") for number in range(1, 10_000))
    return next(name for name in names if not name.exists())


def _exchanged(one: Path, other: Path) -> bool:
    """Exchanges two folders in one step, where the system can: a crash leaves the old or the new; False where not."""
    import ctypes

    name, flag, at = ("renameatx_np", 2, -2) if sys.platform == "darwin" else ("renameat2", 2, -100)
    try:
        exchange = getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError, TypeError):
        return False
    return bool(exchange(at, os.fsencode(one), at, os.fsencode(other), flag) == 0)
