"""One owner at a time for a folder that several processes might write to: a run, an export.

The owner holds an flock on the file ``.owner.lock`` in the folder, which says who it is: host, process, since when.
The system lets go of the lock when the process ends, however it ends, so the file that a killed process leaves is
no obstacle. NFS shows these locks to all hosts. Some shared file systems keep them to the host that took them, or
have none: what is found there is said in one line, and the folder is used all the same.
"""

import errno
import json
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from wgan.serve.base.errors import FolderInUse
from wgan.serve.base.files import writing
from wgan.serve.base.foreign_json import parse_json

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

FILE = ".owner.lock"
FOREVER = float("inf")
_PAUSE = 0.1  # seconds between two looks at a lock that another process holds
_LONGEST = 4096  # bytes of the file that are read
_CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS)
# no link: a file that it leads to would be written over
_FLAGS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


@dataclass(frozen=True)
class Owner:
    """A process, and when it came."""

    host: str
    pid: int
    since: str

    @classmethod
    def this(cls) -> "Owner":
        """This process, now."""
        return cls(platform.node(), os.getpid(), time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()))

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since}"


@contextmanager
def own(folder: Path, say: Callable[[str], object], *, patience: float = 0.0, shared: bool = False) -> Iterator[None]:
    """For the block, no other process owns ``folder``, which is made if it is missing and then left if it has content.

    Args:
        folder: what one process at a time may write to.
        say: takes a line where it has to be waited for, and where nothing keeps others out.
        patience: seconds to wait for another owner.
        shared: only read: beside other readers, and without a lock in a folder that this process cannot write to.

    Raises:
        FolderInUse: another process owns it; the text names it.
        OutputError: the folder cannot be made or written to.
    """
    with ExitStack() as made:
        descriptor = _acquire(folder, say, patience, shared, made)
        try:
            yield
        finally:
            if descriptor is not None:
                _release(folder / FILE, descriptor)


def _make(folder: Path, made: ExitStack) -> None:
    """Makes a folder and its parents; what is empty of them in the end goes again."""

    def remove(path: Path) -> None:
        with suppress(OSError):
            path.rmdir()

    if folder.is_dir():
        return
    if folder.is_symlink():  # to what is not there yet
        folder = Path(os.path.realpath(folder))
    _make(folder.parent, made)
    try:
        folder.mkdir()
    except FileExistsError:
        if not folder.is_dir() and os.path.lexists(folder):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from None
    else:
        made.callback(remove, folder)


def _acquire(folder: Path, say: Callable[[str], object], patience: float, shared: bool, made: ExitStack) -> int | None:
    """The descriptor that holds the lock; None for a reader of a folder that it cannot write to."""
    path, until, waiting = folder / FILE, time.monotonic() + patience, False
    while True:
        descriptor = _open(folder, shared, made)
        if descriptor is None:
            return None
        try:
            before = _read(descriptor)
            why_not = _lock(descriptor, shared)
            if why_not is not None or _still_there(path, descriptor):
                if before is not None or not shared:
                    _tell(folder, before, why_not, say)
                _write(descriptor)
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            if time.monotonic() >= until:
                raise FolderInUse(
                    f"{folder} is in use by {before or 'another process'}: wait until that ends, or name another folder"
                ) from None
            if not waiting:
                waiting = True
                say(f"waiting for {folder}, which is in use by {before or 'another process'}")
            time.sleep(_PAUSE)
            continue
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _open(folder: Path, shared: bool, made: ExitStack) -> int | None:
    """The descriptor of the file, which is made if it is missing; None for a reader that cannot make one."""
    path = folder / FILE
    while True:
        if not shared:
            with writing(folder), suppress(FileNotFoundError):
                _make(folder, made)
        try:
            return os.open(path, os.O_RDWR | os.O_CREAT | _FLAGS, 0o666)
        except OSError as error:
            if error.errno in _CLOSED:
                # another user's file can be locked all the same, a missing one in a folder that is closed to us cannot
                with suppress(OSError):
                    return os.open(path, os.O_RDONLY | _FLAGS)
            if shared and error.errno in (errno.ENOENT, *_CLOSED):
                return None
            if error.errno != errno.ENOENT:  # else whoever made the folder has just removed it again
                with writing(path):
                    raise


def _lock(descriptor: int, shared: bool) -> str | None:
    """Takes the lock; why not, where the file system has none. Raises BlockingIOError where another has it."""
    if fcntl is None:
        return "this system has none"
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError as error:
        return error.strerror or str(error)
    return None


def _still_there(path: Path, descriptor: int) -> bool:
    """Whether a file that is locked now is still the one of that name: the owner before may have removed it."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path, follow_symlinks=False))  # noqa: PTH116
    except OSError:
        return False


def _tell(folder: Path, before: Owner | None, why_not: str | None, say: Callable[[str], object]) -> None:
    """One line where another process may be in the folder that no lock of it can be seen from here."""
    if why_not is not None:
        known = f"; it was taken by {before}" if before else ""
        say(f"{folder} cannot be locked ({why_not}): nothing keeps a second process out{known}")
    elif before is not None and before.host != platform.node():
        say(
            f"{folder} was taken by {before}, which let go of it without a word: if it still runs, locks do not go "
            "from host to host on this file system: stop one of the two"
        )


def _read(descriptor: int) -> Owner | None:
    try:
        os.lseek(descriptor, 0, os.SEEK_SET)
        values = parse_json(os.read(descriptor, _LONGEST))
        return Owner(str(values["host"])[:80], int(values["pid"]), str(values["since"])[:40])
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return None


def _write(descriptor: int) -> None:
    with suppress(OSError):  # a full disk, another user's file: the lock is what counts
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, json.dumps(asdict(Owner.this())).encode())


def _release(path: Path, descriptor: int) -> None:
    """Removes the file, while it is locked, unless others read beside this one."""
    with suppress(BlockingIOError):
        _lock(descriptor, shared=False)
        with suppress(OSError):
            if _still_there(path, descriptor):
                path.unlink()
    os.close(descriptor)
