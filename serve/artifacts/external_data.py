"""Weights of an ONNX file that lie in other files, as exporters write large models: which files, and may they be read?

The file itself names them, and a file may come from anywhere: only what lies in its own folder, or below, is read.
onnx.proto calls this external data.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from wgan.serve.artifacts.containers import Damaged, encode, fields
from wgan.serve.artifacts.onnx_messages import ENTRY, LEADS, TENSOR, bodies, entry_of, messages
from wgan.serve.base.errors import ArtifactError

LARGEST = 2**31 - 1  # bytes of a protobuf message
_RAW, _EXTERNAL, _LOCATION = 9, 13, 14  # fields of a tensor: its numbers, or where they are, and which of both


def external_names(data: bytes) -> list[str]:
    """The names that an ONNX file gives to the files with its weights, whatever they lead to. Raises Damaged."""
    try:
        entries = (entry_of(found) for _, found in messages(memoryview(data), (ENTRY,)))
        return sorted({name for key, name in entries if key == "location"})
    except (IndexError, ValueError):  # UnicodeDecodeError is one
        raise Damaged("ONNX") from None


def external_files(path: Path, data: bytes) -> list[Path]:
    """The files that hold weights of the ONNX file ``data`` at ``path``, by name; none for a file complete alone.

    Raises:
        ArtifactError: one is not there, or not below the file's own folder.
        Damaged: the bytes are no ONNX file.
    """
    files = []
    for name in external_names(data):
        place, folder = path.parent / name, path.parent.resolve()
        try:
            # links are followed first: one that leads out of the folder leads elsewhere
            inside = not Path(name).is_absolute() and place.resolve().is_relative_to(folder)
            there = inside and place.is_file()
        except (OSError, ValueError, RuntimeError):  # too long, a NUL in it, links in a circle
            inside = there = False
        if not inside:
            raise ArtifactError(
                f"{path} takes its weights from {name[:80]!r}, which is not in its own folder: save it as one file"
            )
        if not there:
            raise ArtifactError(f"{path} has its weights in {name[:80]!r}, which is not beside it: copy both")
        files.append(place)
    return files


def digest_with(digest: str, files: list[Path]) -> str:
    """SHA-256 in hex of a file's own ``digest`` and of the files that hold its weights: they identify it together.

    Raises ArtifactError for one that cannot be read.
    """
    total = hashlib.sha256(digest.encode())
    for file in files:
        try:
            with file.open("rb") as opened:
                total.update(hashlib.file_digest(opened, "sha256").digest())
        except OSError as error:
            raise ArtifactError(f"{file} cannot be read: {error.strerror}") from None
    return total.hexdigest()


def inlined(path: Path, data: bytes) -> bytes:
    """The ONNX file ``data`` at ``path`` with its weights in it; as it is where they are in it already.

    Raises:
        ArtifactError: as `external_files`, or a file is shorter than what it should hold, or all are too much for one.
        Damaged: the bytes are no ONNX file.
    """
    files = external_files(path, data)
    if not files:
        return data
    content = {str(file.relative_to(path.parent)): _read(file) for file in files}
    try:
        whole = _inlined(memoryview(data), "ModelProto", content, path)
    except (IndexError, ValueError):
        raise Damaged("ONNX") from None
    if len(whole) > LARGEST:
        raise ArtifactError(f"{path} and its weights are more than the 2 GiB that one ONNX file holds")
    return whole


def _inlined(data: memoryview, message: str, content: Mapping[str, bytes], path: Path) -> bytes:
    if message == TENSOR:
        return _tensor(data, content, path)
    leads = LEADS[message]
    return b"".join(
        encode(number, _inlined(data[body:end], leads[number], content, path)) if number in leads else data[start:end]
        for number, start, body, end in fields(data)
    )


def _tensor(data: memoryview, content: Mapping[str, bytes], path: Path) -> bytes:
    """A tensor whose numbers are its own."""
    entry = dict(entry_of(found) for found in bodies(data, _EXTERNAL))
    if "location" not in entry:
        return bytes(data)
    held = content[str(Path(entry["location"]))]
    start = int(entry.get("offset", 0))
    end = start + int(entry["length"]) if "length" in entry else len(held)
    if not 0 <= start <= end <= len(held):
        raise ArtifactError(f"{path}: {entry['location'][:80]!r} beside it is shorter than its weights: copy both")
    rest = [data[a:b] for number, a, _, b in fields(data) if number not in (_RAW, _EXTERNAL, _LOCATION)]
    return b"".join([*rest, encode(_RAW, held[start:end])])


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{file} cannot be read: {error.strerror}") from None
