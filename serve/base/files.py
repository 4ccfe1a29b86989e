"""Files that are either whole or not there.

Everything is written under a temporary name in the same folder and renamed when whole: a reader never sees half
a file, and a crash leaves the old one. What a killed process left goes when the folder is next written to
(`temporary`). What the system refuses (no space, no
permission, no such folder) becomes an OutputError of one line.
"""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from wgan.serve.base.errors import OutputError
from wgan.serve.base.temporary import create

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an OSError of the block into an OutputError about ``path``."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        hint = "free some space or choose another place" if error.errno in _FULL else "choose another place"
        raise OutputError(f"cannot write {path}: {reason}; {hint}") from error


def expanded(text: str) -> Path:
    """A path whose leading ~ is a home, where there is such a user; as it is where there is none."""
    path = Path(text)
    try:
        return path.expanduser()
    except RuntimeError:
        return path


class Replacement:
    """A file being written at ``tmp``, to become ``path`` on commit() or vanish on discard().

    Missing parent folders are made. Raises OutputError at once where ``path`` is a folder or nothing can be
    written beside it, so that hours of work are not spent on a result that has nowhere to go.
    """

    def __init__(self, path: Path):
        self.path = path
        with writing(path):
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            path.parent.mkdir(parents=True, exist_ok=True)
            tmp, descriptor = create(str(path))
        self.tmp = Path(tmp)
        self._lock: int | None = descriptor
        if os.name == "nt":  # Windows renames no open file
            self._unlock()

    def commit(self) -> None:
        """Put the file in place: it survives a power cut from here on. Raises OutputError."""
        try:
            with writing(self.path):
                _sync(self.tmp, os.O_RDWR)
                self.tmp.replace(self.path)
        except BaseException:
            self.discard()
            raise
        self._unlock()
        sync_folder(self.path.parent)

    def discard(self) -> None:
        """Remove the temporary file, if it is still there."""
        with suppress(OSError):
            self.tmp.unlink()
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """``with atomic_path(path) as tmp:`` write the file ``tmp``; after the block it is ``path``.

    If the block raises anything, KeyboardInterrupt too, ``path`` stays as it was and ``tmp`` is removed.
    An OSError of the block is raised as OutputError.
    """
    replacement = Replacement(path)
    try:
        with writing(path):
            yield replacement.tmp
    except BaseException:
        replacement.discard()
        raise
    replacement.commit()


def atomic_write(path: Path, content: bytes | Callable[[BinaryIO], object]) -> None:
    """Write ``path`` whole: bytes, or what the function writes into the file it is given."""
    with atomic_path(path) as tmp, tmp.open("wb") as file:
        if isinstance(content, bytes):
            file.write(content)
        else:
            content(file)


def atomic_create(path: Path, content: bytes) -> bool:
    """`atomic_write` of what is not there yet; False, and nothing changed, where it is: of several processes one wins.

    Where there are no hard links, two that come at the same moment may both believe that they won.
    """
    replacement = Replacement(path)
    try:
        with writing(path):
            replacement.tmp.write_bytes(content)
            _sync(replacement.tmp, os.O_RDWR)
            try:
                os.link(replacement.tmp, path)
            except FileExistsError:
                return False
            except OSError:
                if path.exists():
                    return False
                replacement.tmp.replace(path)
    finally:
        replacement.discard()
    sync_folder(path.parent)
    return True


def write_unsynced(path: str, content: bytes) -> None:
    """Write ``path`` whole, four times as quickly as `atomic_write`, but a power cut may still take it.

    For one of many small files. Its folder must be there. Raises OSError.
    """
    tmp, descriptor = create(path)
    try:
        try:
            with open(descriptor, "wb", closefd=os.name == "nt") as file:
                file.write(content)
            os.replace(tmp, path)  # noqa: PTH105
        finally:
            if os.name != "nt":
                os.close(descriptor)  # and with it the lock, held until the file has its name
    except BaseException:
        with suppress(OSError):
            os.unlink(tmp)  # noqa: PTH108
        raise


def sync_folder(folder: Path) -> None:
    """Make renames in ``folder`` last; a file system that cannot has nothing better to offer."""
    with suppress(OSError):
        _sync(folder, os.O_RDONLY)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def cache_folder() -> Path | None:
    """Where this user's caches lie; None for a user without a home, as in many containers."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wgan"
    except RuntimeError:
        return None
