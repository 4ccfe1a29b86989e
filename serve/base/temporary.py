"""Temporary files: locked while their process lives, so that what a killed one left can be told and removed.

A file is called ``.name.<host>-<pid>-<number>.tmp`` and lies beside what it will become. Its writer holds an
flock on it, which the system lets go of when the process ends, however it ends; a process id would not do, as
it is given out again, and in a container is always the same. Files of another host are left alone: on a network
file system their locks may not be seen from here. Where there are no locks nothing is removed.
"""

import itertools
import os
import platform
import re
import stat
from contextlib import suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_HOST = re.sub(r"[^A-Za-z0-9]", "", platform.node())[:32] or "localhost"
_OURS = re.compile(rf"\..+\.{_HOST}-\d+-\d+\.tmp")
_LONGEST = 40  # characters of the name in a temporary one: with it a name may be longer than file systems take
_numbers = itertools.count()
_swept: set[str] = set()


def create(path: str) -> tuple[str, int]:
    """An empty file beside ``path`` and the descriptor that holds its lock; may raise OSError.

    The first in a folder removes what killed processes left there. The folder must exist. Paths are text: of the
    time that a small file takes, pathlib would be the larger part.
    """
    folder, name = os.path.split(path)
    sweep_once(folder or ".")
    name = name[:_LONGEST]
    for number in _numbers:
        tmp = os.path.join(folder, f".{name}.{_HOST}-{os.getpid()}-{number}.tmp")  # noqa: PTH118
        try:
            descriptor = os.open(tmp, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:  # left by a process with this one's number
            continue
        if _hold(descriptor):
            break
        os.close(descriptor)
    return tmp, descriptor


def sweep_once(folder: Path | str) -> None:
    """`sweep`, the first time that this process asks for it: folders of many files are slow to list."""
    name = os.path.abspath(folder)  # noqa: PTH100
    if name not in _swept:
        _swept.add(name)
        sweep(Path(folder))


def sweep(folder: Path) -> None:
    """Removes this host's temporary files that nobody holds."""
    if fcntl is None:
        return
    left: list[Path] = []
    with suppress(OSError), os.scandir(folder) as entries:
        left.extend(folder / entry.name for entry in entries if _OURS.fullmatch(entry.name))
    for path in left:
        with suppress(OSError):
            # for writing: NFS locks exclusively nothing else; no link, and no pipe to wait at
            descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                if stat.S_ISREG(os.fstat(descriptor).st_mode):
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    path.unlink()
            finally:
                os.close(descriptor)


def _hold(descriptor: int) -> bool:
    """Locks a new file; False where a sweeper was there between its creation and its lock."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # no locks on this file system, for sweepers neither
        return True
    return os.fstat(descriptor).st_nlink > 0
