"""Files that are either whole or not there.

Everything is written under a temporary name in the same folder and renamed when whole: a reader never sees half
a file, and a crash leaves the old one. A link is followed: it stays, and what it leads to is replaced. Pipes and
devices are written through (`streams`). What a killed process left goes when the folder is next written to
(`temporary`). What the system refuses (no space, no permission, no such folder) becomes an OutputError of one line.
"""

import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

from wgan.serve.base.address import Place
from wgan.serve.base.errors import OutputError
from wgan.serve.base.streams import Stream, is_stream
from wgan.serve.base.temporary import create

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_CLEAR = (0, errno.EPIPE)  # where there is nothing to choose: the reason says it all


@contextmanager
def writing(path: Place) -> Iterator[None]:
    """Turn an OSError of the block into an OutputError about ``path``."""
    try:
        yield
    except OSError as error:
        reason = "who read it has gone" if error.errno == errno.EPIPE else error.strerror or str(error)
        hint = "free some space or choose another place" if error.errno in _FULL else "choose another place"
        raise OutputError(f"cannot write {path}: {reason}{'' if error.errno in _CLEAR else f'; {hint}'}") from error


class Replacement:
    """A file being written at ``tmp``, to become ``path`` on commit() or vanish on discard().

    Missing parent folders are made. Where ``path`` is a link, ``target`` is the file that it leads to, which need not
    be there; else it is ``path``. A file that was there hands its mode on, and its owner as far as the system lets it.

    Raises OutputError at once where ``path`` is a folder or nothing can be written beside it, so that hours of work
    are not spent on a result that has nowhere to go.
    """

    def __init__(self, path: Path):
        self.path = path
        with writing(path):
            self.target = _followed(path)
            if self.target.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            try:
                Path(os.path.realpath(self.target.parent)).mkdir(parents=True, exist_ok=True)
            except FileExistsError:
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from None
            tmp, descriptor = create(str(self.target))
        self.tmp = Path(tmp)
        self._lock: int | None = descriptor
        self._before = _inherited(self.target, self.tmp)
        if os.name == "nt":  # Windows renames no open file
            self._unlock()

    def open(self) -> BinaryIO:
        """The temporary file, to write to."""
        return self.tmp.open("wb")

    def commit(self) -> None:
        """Put the file in place: it survives a power cut from here on. Raises OutputError."""
        try:
            with writing(self.path):
                _sync(self.tmp, os.O_RDWR)
                if self._before is not None:
                    self.tmp.chmod(self._before)
                self.tmp.replace(self.target)
        except BaseException:
            self.discard()
            raise
        self._unlock()
        sync_folder(self.target.parent)

    def discard(self) -> None:
        """Remove the temporary file, if it is still there."""
        with suppress(OSError):
            self.tmp.unlink()
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def opened(path: Path) -> Replacement | Stream:
    """What to write ``path`` by: a pipe, device or descriptor through, anything else as a whole. Raises OutputError."""
    if not is_stream(path):
        return Replacement(path)
    with writing(path):
        return Stream(path)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """``with atomic_path(path) as tmp:`` write the file ``tmp``; after the block it is ``path``.

    If the block raises anything, KeyboardInterrupt too, ``path`` stays as it was and ``tmp`` is removed.
    An OSError of the block is raised as OutputError. A pipe or device gets the bytes of ``tmp`` after the block.
    """
    place = opened(path)
    try:
        with writing(path):
            if isinstance(place, Stream):
                with TemporaryDirectory() as folder:
                    yield (tmp := Path(folder) / path.name)
                    with tmp.open("rb") as file:
                        shutil.copyfileobj(file, place.open())
            else:
                yield place.tmp
    except BaseException:
        place.discard()
        raise
    place.commit()


def atomic_write(path: Path, content: bytes | Callable[[BinaryIO], object]) -> None:
    """Write ``path`` whole: bytes, or what the function writes into the file it is given."""
    place = opened(path)
    try:
        with writing(path), place.open() as file:
            if isinstance(content, bytes):
                file.write(content)
            else:
                content(file)
    except BaseException:
        place.discard()
        raise
    place.commit()


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
                os.link(replacement.tmp, replacement.target)
            except FileExistsError:
                return False
            except OSError:
                if path.exists():
                    return False
                replacement.tmp.replace(replacement.target)
    finally:
        replacement.discard()
    sync_folder(replacement.target.parent)
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


def _followed(path: Path) -> Path:
    """The file that a link leads to, there or not; any other path as it is. Raises OSError for links in a circle."""
    if not path.is_symlink():
        return path
    with suppress(FileNotFoundError):
        path.stat()
    return Path(os.path.realpath(path))


def _inherited(before: Path, tmp: Path) -> int | None:
    """The mode of a file that is to be replaced, or None; nobody reads the new one whom it kept out."""
    if os.name == "nt":
        return None
    try:
        found = before.stat()
    except OSError:
        return None
    mode, own = stat.S_IMODE(found.st_mode) & 0o777, tmp.stat()
    with suppress(OSError):
        tmp.chmod(mode & own.st_mode | 0o600)
    if (found.st_uid, found.st_gid) != (own.st_uid, own.st_gid):
        for owner in ((found.st_uid, found.st_gid), (-1, found.st_gid)):  # who is not root may still have the group
            with suppress(OSError):
                os.chown(tmp, *owner)
                break
    return mode


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
