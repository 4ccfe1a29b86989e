"""What lies where in a .tar: its headers are read, and nothing else but the text of `.cls` members.

By hand and not by `tarfile`, which ends in silence at a damaged header, takes a header of any length into memory and
keeps every member. Read are the formats v7, ustar, GNU and pax.
"""

import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

BLOCK = tarfile.BLOCKSIZE
LONGEST = 2**20  # bytes of a name or of a pax header
TEXT = 256  # bytes of a .cls member
_REGULAR = (b"0", b"\0", b"7")
_SPARSE_FORMS = {"GNU.sparse.major", "GNU.sparse.size", "GNU.sparse.realsize"}
_COMPRESSED = {
    b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zstd", b"\x04\x22\x4d\x18": "lz4",
}  # fmt: skip
_RECORD = re.compile(rb"(\d{1,7}) ")


class Damaged(Exception):
    """No tar, or the rest of one cannot be read; the text says why, after the name of the file.

    ``cut``: what is there is a tar's beginning.
    """

    def __init__(self, text: str, cut: bool = False):
        super().__init__(text)
        self.cut = cut


@dataclass(frozen=True, slots=True)
class Member:
    """A file in a tar.

    Args:
        name: its path, without a leading `./`.
        size: bytes.
        offset: where they begin.
        archive: the number of the tar, among several.
        why: what keeps it from being read; empty where nothing does.
        text: of a `.cls` member, what it holds.
    """

    name: str
    size: int
    offset: int
    archive: int = 0
    why: str = ""
    text: bytes | None = None


def compression(start: bytes) -> str | None:
    """What a file that begins so is compressed by; None where by nothing known."""
    return next((name for magic, name in _COMPRESSED.items() if start.startswith(magic)), None)


def is_tar(start: bytes) -> bool:
    """Whether a file that begins so, with its first block, is a tar."""
    return len(start) >= BLOCK and (start[257:262] == b"ustar" or _sums_match(start[:BLOCK]))


def members_of(file: BinaryIO, length: int, archive: int = 0) -> Iterator[Member]:
    """The files in a tar of ``length`` bytes, in their order.

    Raises:
        Damaged: at once where it is no tar, else after the members before the damage.
        OSError: as the file's own.
    """
    if length == 0:
        raise Damaged("is empty")
    at = 0
    long_name, pax = None, {}
    while at < length:
        header = _read(file, at, BLOCK)
        if not header.strip(b"\0") and len(header) == BLOCK:
            if at == 0:
                raise Damaged("is no tar: it begins with nothing")
            return
        if len(header) < BLOCK or not _sums_match(header):
            cut = len(header) < BLOCK
            what = "is cut off" if cut else "is damaged"
            raise Damaged("is no tar" if at == 0 else f"{what} at byte {at:,}", cut and at > 0)
        kind, size = header[156:157], _number(header[124:136])
        if kind in (b"x", b"L"):
            content = _extended(file, at + BLOCK, size, length)
            if kind == b"x":
                pax = _records(content)
            else:
                long_name = content.split(b"\0", 1)[0]
        if kind in (b"x", b"L", b"K", b"g"):
            at = _after(at, size)
            continue
        start = at + BLOCK
        if kind == b"S" and header[482:483] == b"\1":  # old GNU sparse: more headers follow
            start = _after_maps(file, start)
        member = _member(header, start, archive, long_name, pax)
        # links have no content, whatever size they give
        at = _after(start - BLOCK, member.size) if kind not in (b"1", b"2", b"3", b"4", b"5", b"6") else start
        long_name, pax = None, {}
        if at > length and kind in _REGULAR:
            raise Damaged(f"is cut off in the middle of {member.name}", cut=True)
        if kind in _REGULAR and member.name.endswith(".cls") and not member.why and member.size <= TEXT:
            text = _read(file, start, member.size)
            member = Member(member.name, member.size, start, archive, text=text)
        if (kind in _REGULAR and not member.name.endswith("/")) or kind in (b"1", b"2", b"S"):
            yield member


def _member(header: bytes, start: int, archive: int, long_name: bytes | None, pax: dict[str, bytes]) -> Member:
    kind, size = header[156:157], _number(header[124:136])
    name, prefix = header[:100].split(b"\0", 1)[0], b""
    if header[257:263] == b"ustar\0":
        prefix = header[345:500].split(b"\0", 1)[0]
    name = long_name or (prefix + b"/" + name if prefix else name)
    name = pax.get("GNU.sparse.name", pax.get("path", name))
    if "size" in pax:
        size = _number(pax["size"], 10)
    why = ""
    if kind in (b"1", b"2"):
        why = "a link in the tar, and no file"
    elif kind == b"S" or not _SPARSE_FORMS.isdisjoint(pax):
        why = "a sparse file in the tar, and no plain one"
    return Member(_plain(name.decode("utf-8", "surrogateescape")), size, start, archive, why)


def _plain(name: str) -> str:
    """Without the `./` that `tar cf x.tar .` puts before every name."""
    while name.startswith("./"):
        name = name[2:].lstrip("/")
    return name


def _read(file: BinaryIO, at: int, size: int) -> bytes:
    file.seek(at)
    return file.read(size)


def _after(header: int, size: int) -> int:
    """Where the next header is."""
    return header + BLOCK + -(-size // BLOCK) * BLOCK


def _extended(file: BinaryIO, at: int, size: int, length: int) -> bytes:
    if size > LONGEST:
        raise Damaged(f"has a header of {size:,} bytes, more than {LONGEST:,}")
    if at + size > length:
        raise Damaged(f"is cut off at byte {at:,}", cut=True)
    return _read(file, at, size)


def _after_maps(file: BinaryIO, at: int) -> int:
    """Where the content begins, after the further maps of a sparse file."""
    while True:
        block = _read(file, at, BLOCK)
        at += BLOCK
        if len(block) < BLOCK or block[504:505] != b"\1":
            return at


def _sums_match(header: bytes) -> bool:
    try:
        stored = _number(header[148:156])
    except Damaged:
        return False
    # the field itself counts as blanks; some old programs added the bytes up as signed ones
    unsigned = sum(header) - sum(header[148:156]) + 8 * 32
    return stored in (unsigned, unsigned - 256 * sum(byte > 127 for byte in header[:148] + header[156:]))


def _number(field: bytes, base: int = 8) -> int:
    """A number in octal digits, or of a large file in binary. Raises Damaged."""
    if field[:1] == b"\x80":
        return int.from_bytes(field[1:], "big")
    digits = field.split(b"\0", 1)[0].strip() or b"0"
    if not digits.isdigit() or len(digits) > 20:
        raise Damaged("is damaged: a size in it is no number")
    try:
        return int(digits, base)
    except ValueError:
        raise Damaged("is damaged: a size in it is no number") from None


def _records(content: bytes) -> dict[str, bytes]:
    """The `length key=value` lines of a pax header. Raises Damaged."""
    found: dict[str, bytes] = {}
    at = 0
    while at < len(content) and content[at] != 0:
        match = _RECORD.match(content, at)
        end = at + int(match[1]) if match else 0
        if match is None or not match.end() < end <= len(content):
            raise Damaged("is damaged: a pax header in it makes no sense")
        key, _, value = content[match.end() : end - 1].partition(b"=")
        found[key.decode("utf-8", "replace")] = value
        at = end
    return found
