"""Weights of an ONNX file that lie in other files, as exporters write large models: which files, and may they be read?

The file itself names them, and a file may come from anywhere: only what lies in its own folder, or below, is read.
Field numbers: onnx.proto, which calls this external data.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wgan.serve.artifacts.containers import Damaged, fields
from wgan.serve.base.errors import ArtifactError

# message → field number → the message in it; only what leads to a tensor
_TENSOR, _ENTRY = "TensorProto", "StringStringEntryProto"
_LEADS: dict[str, dict[int, str]] = {
    "ModelProto": {7: "GraphProto", 20: "TrainingInfoProto", 25: "FunctionProto"},
    "TrainingInfoProto": {1: "GraphProto", 2: "GraphProto"},
    "FunctionProto": {7: "NodeProto", 11: "AttributeProto"},
    "GraphProto": {1: "NodeProto", 5: _TENSOR, 15: "SparseTensorProto"},
    "NodeProto": {5: "AttributeProto"},
    "AttributeProto": {
        5: _TENSOR,
        6: "GraphProto",
        10: _TENSOR,
        11: "GraphProto",
        22: "SparseTensorProto",
        23: "SparseTensorProto",
    },
    "SparseTensorProto": {1: _TENSOR, 2: _TENSOR},
    _TENSOR: {13: _ENTRY},
}
_DEEPEST = 200  # messages inside messages; protobuf itself stops at 100


def external_files(path: Path, data: bytes) -> list[Path]:
    """The files that hold weights of the ONNX file ``data`` at ``path``, by name; none for a file complete alone.

    Raises:
        ArtifactError: one is not there, or not below the file's own folder.
        Damaged: the bytes are no ONNX file.
    """
    try:
        names = sorted({bytes(name).decode() for name in _locations(memoryview(data), "ModelProto", 0)})
    except (IndexError, ValueError):  # UnicodeDecodeError is one
        raise Damaged("ONNX") from None
    files = []
    for name in names:
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


def _locations(data: memoryview, message: str, depth: int) -> Iterator[Any]:
    """Every `location` that a tensor within the message names."""
    if depth > _DEEPEST:
        raise ValueError("too deep")
    if message == _ENTRY:
        entry = {number: data[start:end] for number, _, start, end in fields(data)}
        if bytes(entry.get(1, b"")) == b"location":
            yield entry.get(2, b"")
        return
    leads = _LEADS[message]
    for number, _, start, end in fields(data):
        if number in leads:
            yield from _locations(data[start:end], leads[number], depth + 1)
