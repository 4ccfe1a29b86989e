"""A small disk of memory, for a folder of a round: it fills up, and then grows."""

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NEW_MOUNTS = 0x20000  # CLONE_NEWNS


def may_mount() -> bool:
    """Whether this process may mount; then from now on what it mounts is seen by it and its children alone.

    Such mounts end with the last of these processes, however that ends.
    """
    if os.name == "nt" or not hasattr(ctypes.CDLL(None), "unshare") or ctypes.CDLL(None).unshare(_NEW_MOUNTS):
        return False
    return _mount("--make-rprivate", "/")


@contextmanager
def small(folder: Path, size: int) -> Iterator[None]:
    """For the block ``folder`` lies on a disk of ``size`` bytes. Raises OSError where that cannot be mounted."""
    if not _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)):
        raise OSError(f"no disk can be mounted at {folder}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


def grow(folder: Path) -> None:
    """Makes it as large as it will ever need to be."""
    _mount("-o", "remount,size=1g", str(folder))


def _mount(*words: str) -> bool:
    try:
        return subprocess.run(["mount", *words], capture_output=True, check=False).returncode == 0
    except OSError:  # no such program
        return False
