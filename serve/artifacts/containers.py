"""How metadata lies in each format, read and written with the standard library alone.

ONNX         a `metadata_props` entry, appended: a protobuf message may be continued at its end
TorchScript  the extra file `wgan.json` in the zip archive
safetensors  an entry of the header's `__metadata__`
TensorRT     nothing inside: a plan is a plan, its metadata is a file beside it
web          a folder, packed into one archive: its metadata is the file `wgan.json` in it
"""

import hashlib
import io
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from wgan.serve.artifacts import packed, safetensors

KEY = "wgan"  # of the ONNX property and safetensors' entry; TorchScript's extra file is wgan.json


class Damaged(Exception):
    """The bytes are no file of their format; the text says what they should have been."""


@dataclass(frozen=True)
class Container:
    """How a format holds metadata.

    Args:
        split: a whole file → its metadata, if it carries any, and the SHA-256 of everything else. Raises Damaged.
        join: payload and metadata → the file that holds both, or the payload alone where nothing else has a place.
        beside: whether the metadata lies in a file beside it.
        strip: a whole file → the payload that ``join`` takes, of formats whose files may be changed.
        folder: whether it is a folder, whose archive (see `packed`) is then its bytes.
    """

    split: Callable[[bytes], tuple[bytes | None, str]]
    join: Callable[[bytes, bytes], bytes]
    beside: bool = False
    strip: Callable[[bytes], bytes] | None = None
    folder: bool = False


def _split_bare(data: bytes) -> tuple[None, str]:
    return None, hashlib.sha256(data).hexdigest()


def _split_folder(data: bytes) -> tuple[None, str]:
    try:
        return None, packed.digest(data)
    except packed.NotPacked:
        raise Damaged("web") from None


def _join_bare(payload: bytes, _text: bytes) -> bytes:
    return payload


# An archive may hold so many times what it weighs: torch compresses its code alone, and a bomb unpacks a thousandfold
MOST_UNPACKED = 4
MOST_METADATA = 2**22
_PIECE = 2**20


def _split_torchscript(data: bytes) -> tuple[bytes | None, str]:
    text, digest = None, hashlib.sha256()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(info.file_size for info in archive.infolist()) > MOST_UNPACKED * len(data):
                raise Damaged("TorchScript")
            for name in sorted(archive.namelist()):
                info = archive.getinfo(name)
                if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    raise Damaged("TorchScript")  # torch writes no others
                inner, left = name.split("/", 1)[-1], info.file_size
                ours = inner == f"extra/{KEY}.json"
                if ours and left > MOST_METADATA:
                    raise Damaged("TorchScript")
                if not ours:
                    digest.update(f"{inner}\0{left}\0".encode())
                parts = []
                with archive.open(info) as file:  # checks the CRC at its end
                    # piece by piece: one whole would be unpacked beyond the size that it states
                    while piece := file.read(_PIECE):
                        left -= len(piece)
                        parts.append(piece) if ours else digest.update(piece)
                if left:
                    raise Damaged("TorchScript")
                if ours:
                    text = b"".join(parts)
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError, OSError, RuntimeError):
        raise Damaged("TorchScript") from None
    return text, digest.hexdigest()


def _join_torchscript(payload: bytes, text: bytes) -> bytes:
    file = io.BytesIO(payload)
    with zipfile.ZipFile(file, "a") as archive:
        root = archive.namelist()[0].split("/", 1)[0]
        # a fixed date: the same export gives the same bytes
        archive.writestr(zipfile.ZipInfo(f"{root}/extra/{KEY}.json"), text)
    return file.getvalue()


# ONNX: ModelProto.metadata_props is field 14, repeated StringStringEntryProto {1: key, 2: value}.
# Wire format: protobuf.dev/programming-guides/encoding
_METADATA_PROPS, _LENGTH_DELIMITED = 14, 2


def _join_onnx(payload: bytes, text: bytes) -> bytes:
    return payload + encode(_METADATA_PROPS, encode(1, KEY.encode()) + encode(2, text))


def _split_onnx(data: bytes) -> tuple[bytes | None, str]:
    text, digest, seen = None, hashlib.sha256(), False
    for ours, part in _onnx_parts(data):
        if ours is not None:
            text = ours.get(2)
            continue
        digest.update(part)
        seen = True
    if not seen:
        raise Damaged("ONNX")
    return text, digest.hexdigest()


def _strip_onnx(data: bytes) -> bytes:
    return b"".join(part for ours, part in _onnx_parts(data) if ours is None)


def _onnx_parts(data: bytes) -> Iterator[tuple[dict[int, bytes] | None, memoryview]]:
    """Each field of the file with, if it is our metadata, the fields in that. Raises Damaged."""
    try:
        for number, start, body, end in fields(data):
            entry = None
            if number == _METADATA_PROPS:
                entry = {field: data[body:end][a:b] for field, _, a, b in fields(data[body:end])}
            yield entry if entry and entry.get(1) == KEY.encode() else None, memoryview(data)[start:end]
    except (IndexError, ValueError):
        raise Damaged("ONNX") from None


def fields(data: bytes | memoryview) -> Iterator[tuple[int, int, int, int]]:
    """Each field of a protobuf message: its number, and where it, its body and the next one start.

    Raises IndexError or ValueError where it is none.
    """
    position = 0
    while position < len(data):
        start = position
        tag, position = varint(data, position)
        number, kind = tag >> 3, tag & 7
        if kind == _LENGTH_DELIMITED:
            length, position = varint(data, position)
        elif kind == 0:
            body = position
            _, position = varint(data, position)
            yield number, start, body, position
            continue
        else:
            length = {1: 8, 5: 4}[kind] if kind in (1, 5) else -1
        end = position + length
        if number == 0 or length < 0 or end > len(data):
            raise ValueError("not a protobuf message")
        yield number, start, position, end
        position = end


def varint(data: bytes | memoryview, position: int) -> tuple[int, int]:
    """The number at a position, and where it ends. Raises IndexError or ValueError."""
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            raise ValueError("varint too long")


def encode(number: int, content: bytes) -> bytes:
    """A field of bytes, as `fields` reads it."""

    def written(value: int) -> bytes:
        out = bytearray()
        while value > 0x7F:
            out.append(value & 0x7F | 0x80)
            value >>= 7
        return bytes([*out, value])

    return written(number << 3 | _LENGTH_DELIMITED) + written(len(content)) + content


def _split_safetensors(data: bytes) -> tuple[bytes | None, str]:
    try:
        text, digest = safetensors.split(data, KEY)
    except ValueError:
        raise Damaged("safetensors") from None
    if text is not None and len(text) > MOST_METADATA:
        raise Damaged("safetensors")
    return text, digest


def _join_safetensors(payload: bytes, text: bytes) -> bytes:
    return safetensors.join(payload, KEY, text)


ONNX = Container(_split_onnx, _join_onnx, strip=_strip_onnx)
TORCHSCRIPT = Container(_split_torchscript, _join_torchscript)
SAFETENSORS = Container(_split_safetensors, _join_safetensors, strip=bytes)  # joined, it replaces what it had
PLAN = Container(_split_bare, _join_bare, beside=True)
FOLDER = Container(_split_folder, _join_bare, beside=True, folder=True)
BARE = Container(_split_bare, _join_bare)  # no metadata at all
