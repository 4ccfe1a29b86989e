"""Whether a disk has room for images that are not made yet: hours of work must not end at a full one.

What a file of images takes is known: of .npy and .npz to some hundred bytes, of PNG files as a bound that none is
below, since deflate makes no more than 1,032 bytes of one. So what fits is never refused; what does not may be.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from wgan.serve.base.address import Address, Place
from wgan.serve.base.errors import OutputError
from wgan.serve.base.streams import is_stream
from wgan.serve.base.temporary import sweep_once
from wgan.serve.base.terminal import counted

_DEFLATE = 1032  # bytes that one byte can stand for: 258 by two bits, in RFC 1951
_PNG = 57  # bytes of a file without its pixels: signature, IHDR, IDAT's and IEND's frames
_BLOCK = 512  # of a tar archive


def least(kind: str, count: int, image: Sequence[int], labelled: bool) -> int:
    """Bytes that ``count`` images of (H, W, C) take at least, in a file or folder of this kind; see `kinds.kind_of`."""
    height, width, channels = image
    raw = count * height * width * channels
    png = _PNG + height * (1 + width * channels) // _DEFLATE
    match kind:
        case "npy":
            return raw
        case "npz":
            return raw + count * (16 if labelled else 8)
        case "folder":
            return count * png
        case "tar":  # each member has a header, and is filled up
            return count * _BLOCK * ((5 if labelled else 3) + -(-png // _BLOCK))
    return raw // _DEFLATE if kind == "png" else 0


def free(path: Place) -> int | None:
    """Bytes that are free where ``path`` is to lie; None where that is not known, or nothing is kept."""
    if isinstance(path, Address) or is_stream(path):
        return None
    try:
        place = Path(os.path.realpath(path))
        while not place.is_dir():
            place = place.parent
        sweep_once(place)  # what killed processes left goes with the first write
        found = os.statvfs(place)
    except (OSError, AttributeError):  # Windows has no statvfs
        return None
    root = os.geteuid() == 0  # for whom some blocks are kept
    return found.f_frsize * (found.f_bfree if root else found.f_bavail) if found.f_blocks else None


def check_room(path: Place, needed: int, what: str) -> None:
    """Refuses what cannot fit. ``what`` takes ``needed`` bytes at least. Raises OutputError."""
    there = free(path)
    if there is not None and needed > there + _replaced(path):
        raise OutputError(f"cannot write {path}: {lacks(what, needed, there)}; ask for fewer, or choose another place")


def lacks(what: str, needed: int, there: int) -> str:
    """That ``needed`` bytes are more than there are."""
    return f"{what} take at least {_bytes(needed)}, and {_bytes(there)} are free there"


def _replaced(folder: Place) -> int:
    """Bytes in a folder, whose images may be replaced one by one; 0 of a file: it stays until the new one is whole."""
    if isinstance(folder, Address):
        return 0
    total = 0
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):
                total += entry.stat().st_blocks * _BLOCK
    return total


def _bytes(number: int) -> str:
    for unit, scale in (("PB", 10**15), ("TB", 10**12), ("GB", 10**9), ("MB", 10**6)):
        if number >= scale:
            return f"{number / scale:,.1f} {unit}"
    return counted(number, "byte")
