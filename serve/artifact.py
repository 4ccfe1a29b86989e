"""Exported files: how the metadata lies in each format, and whether the bytes are those it was made for.

ONNX         a `metadata_props` entry, appended: a protobuf message may be continued at its end
TorchScript  the extra file `wgan.json` in the zip archive
TensorRT     `<file>.json` beside the plan, which stays a plan that any tool can load

Read with the standard library alone, before a runtime sees the file.
"""

import hashlib
import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wgan.serve.errors import ArtifactError
from wgan.serve.files import atomic_write
from wgan.serve.metadata import KEY, Metadata, parse

SUFFIXES = {".onnx": "onnx", ".ts": "torchscript", ".plan": "trt"}


@dataclass(frozen=True)
class Artifact:
    """An exported file whose bytes are what its metadata records."""

    path: Path
    metadata: Metadata
    data: bytes


def format_of(path: Path) -> str:
    """The artifact format that the file's ending means.

    Raises:
        ArtifactError: an ending that is none of ours.
    """
    try:
        return SUFFIXES[path.suffix.lower()]
    except KeyError:
        raise ArtifactError(f"{path}: not an artifact; the endings are {', '.join(SUFFIXES)}") from None


def read(path: Path) -> Artifact:
    """The artifact in a file, checked.

    Raises:
        ArtifactError: missing, unreadable, truncated, altered, without metadata or of a newer schema.
    """
    kind = format_of(path)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise ArtifactError(f"no file {path}: run `wgan export` or name another with --model") from None
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror}") from None
    text, digest = _open(kind, path, data)
    if text is None:
        raise ArtifactError(f"{path} carries no wgan metadata: it was not exported by wgan")
    metadata = parse(text, str(path))
    if metadata.format != kind:
        raise ArtifactError(f"{path} holds {metadata.format}, its ending says {kind}: rename it")
    if metadata.payload_sha256 != digest:
        raise ArtifactError(f"{path} is damaged: its bytes are not those that were exported; copy or export it again")
    return Artifact(path, metadata, data)


def list_folder(folder: Path) -> list[Path]:
    """The artifacts in a folder, by name; their content is not looked at."""
    return sorted(path for path in folder.glob("generator*") if path.suffix in SUFFIXES)


def summary(path: Path, metadata: Metadata) -> dict[str, Any]:
    """An artifact in a few words: for `--json` and the report page."""
    return {
        "file": path.name,
        "path": str(path),
        "format": metadata.format,
        "precision": metadata.precision,
        "bytes": path.stat().st_size,
        "parity": metadata.parity,
    }


def write(path: Path, payload: bytes, metadata: Metadata) -> None:
    """Writes an artifact whole or not at all.

    Args:
        path: the file; a plan's metadata goes beside it.
        payload: the bytes as the exporter made them, without metadata.
        metadata: its ``payload_sha256`` must be `payload_digest` of them.

    Raises:
        OutputError: it cannot be written; a file that was there before is untouched.
    """
    text = metadata.to_json().encode()
    if metadata.format == "trt":
        # the plan first: a sidecar without its plan would be refused, a plan without one only unknown
        atomic_write(path, payload)
        write_sidecar(path, metadata)
    elif metadata.format == "onnx":
        atomic_write(path, payload + _property(KEY.encode(), text))
    else:
        buffer = io.BytesIO(payload)
        with zipfile.ZipFile(buffer, "a") as archive:
            root = archive.namelist()[0].split("/", 1)[0]
            # a fixed date: the same export gives the same bytes
            archive.writestr(zipfile.ZipInfo(f"{root}/extra/{KEY}.json"), text)
        atomic_write(path, buffer.getvalue())


def write_sidecar(path: Path, metadata: Metadata) -> None:
    """Writes the metadata beside a plan."""
    atomic_write(sidecar(path), metadata.to_json().encode())


def payload_digest(kind: str, payload: bytes) -> str:
    """SHA-256 of an artifact's content without its metadata, in hex."""
    return _open(kind, Path(f"<{kind}>"), payload)[1]


def sidecar(path: Path) -> Path:
    """Where a plan's metadata lies."""
    return path.with_name(path.name + ".json")


def _open(kind: str, path: Path, data: bytes) -> tuple[bytes | None, str]:
    """The metadata's JSON, if any, and the digest of everything else."""
    if kind == "onnx":
        return _open_onnx(path, data)
    if kind == "torchscript":
        return _open_torchscript(path, data)
    try:
        text = sidecar(path).read_bytes()
    except OSError:
        text = None
    return text, hashlib.sha256(data).hexdigest()


def _open_torchscript(path: Path, data: bytes) -> tuple[bytes | None, str]:
    text, digest = None, hashlib.sha256()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for name in sorted(archive.namelist()):
                content = archive.read(name)  # checks the CRC
                inner = name.split("/", 1)[-1]
                if inner == f"extra/{KEY}.json":
                    text = content
                else:
                    digest.update(f"{inner}\0{len(content)}\0".encode() + content)
    except (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError, OSError, RuntimeError):
        raise ArtifactError(f"{path} is damaged or no TorchScript file: copy or export it again") from None
    return text, digest.hexdigest()


# ONNX: ModelProto.metadata_props is field 14, repeated StringStringEntryProto {1: key, 2: value}.
# Wire format: protobuf.dev/programming-guides/encoding
_METADATA_PROPS, _LENGTH_DELIMITED = 14, 2


def _open_onnx(path: Path, data: bytes) -> tuple[bytes | None, str]:
    text, digest, seen = None, hashlib.sha256(), False
    try:
        for number, start, body, end in _fields(data):
            if number == _METADATA_PROPS:
                entry = {field: data[body:end][a:b] for field, _, a, b in _fields(data[body:end])}
                if entry.get(1) == KEY.encode():
                    text = entry.get(2)
                    continue
            digest.update(memoryview(data)[start:end])
            seen = True
    except (IndexError, ValueError):
        raise ArtifactError(f"{path} is damaged or no ONNX file: copy or export it again") from None
    if not seen:
        raise ArtifactError(f"{path} is empty: copy or export it again")
    return text, digest.hexdigest()


def _fields(data: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Each field of a protobuf message: its number, and where it, its body and the next one start."""
    position = 0
    while position < len(data):
        start = position
        tag, position = _varint(data, position)
        number, kind = tag >> 3, tag & 7
        if kind == _LENGTH_DELIMITED:
            length, position = _varint(data, position)
        elif kind == 0:
            body = position
            _, position = _varint(data, position)
            yield number, start, body, position
            continue
        else:
            length = {1: 8, 5: 4}[kind] if kind in (1, 5) else -1
        end = position + length
        if number == 0 or length < 0 or end > len(data):
            raise ValueError("not a protobuf message")
        yield number, start, position, end
        position = end


def _varint(data: bytes, position: int) -> tuple[int, int]:
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


def _encode(number: int, content: bytes) -> bytes:
    def varint(value: int) -> bytes:
        out = bytearray()
        while value > 0x7F:
            out.append(value & 0x7F | 0x80)
            value >>= 7
        return bytes([*out, value])

    return varint(number << 3 | _LENGTH_DELIMITED) + varint(len(content)) + content


def _property(key: bytes, value: bytes) -> bytes:
    return _encode(_METADATA_PROPS, _encode(1, key) + _encode(2, value))
