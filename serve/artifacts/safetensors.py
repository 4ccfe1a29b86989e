"""Safetensors files, read and written with the standard library alone.

8 bytes with the header's length, little-endian; a header in JSON; the tensors' bytes, without holes or overlap. The
rules are those of github.com/huggingface/safetensors: what it refuses to load is refused here too.
"""

import hashlib
import json
from itertools import pairwise
from typing import Any

from wgan.serve.base.foreign_json import parse_exact_json

MOST_HEADER = 100_000_000  # bytes, the library's own limit
NOTES = "__metadata__"  # the header's field for texts by name
_PREFIX = 8
_FIELDS = {"dtype", "shape", "data_offsets"}
# type → bits of one value
_BITS = {
    **dict.fromkeys(("C64", "F64", "I64", "U64"), 64),
    **dict.fromkeys(("F32", "I32", "U32"), 32),
    **dict.fromkeys(("BF16", "F16", "I16", "U16"), 16),
    **dict.fromkeys(("BOOL", "F8_E4M3", "F8_E4M3FNUZ", "F8_E5M2", "F8_E5M2FNUZ", "F8_E8M0", "I8", "U8"), 8),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    "F4": 4,
}
_LARGEST = 2**64 - 1


def split(data: bytes, key: str) -> tuple[bytes | None, str]:
    """The note called ``key``, and the SHA-256 of all else that the file says: its other notes and its tensors.

    The digest depends on neither the order nor the padding: the same tensors written by another tool have the same.

    Raises:
        ValueError: it is no safetensors file, or a damaged one.
    """
    header, begin = _header(data)
    notes = header.pop(NOTES, {})
    if not isinstance(notes, dict) or not all(isinstance(note, str) for note in notes.values()):
        raise ValueError("the notes are no texts")
    spans = {name: _span(tensor) for name, tensor in header.items()}
    ordered = [(0, 0), *sorted(spans.values()), (len(data) - begin,) * 2]
    if any(end != start for (_, end), (start, _) in pairwise(ordered)):
        raise ValueError("the tensors overlap, leave holes or do not end with the file")
    text = notes.pop(key, None)
    digest = hashlib.sha256(_line(notes) if notes else b"")
    for name in sorted(spans):
        start, end = spans[name]
        digest.update(_line([name, header[name]["dtype"], header[name]["shape"]]))
        digest.update(memoryview(data)[begin + start : begin + end])
    return None if text is None else text.encode(), digest.hexdigest()


def join(data: bytes, key: str, text: bytes) -> bytes:
    """The file with ``text`` as the note called ``key``, in place of one that it had."""
    header, begin = _header(data)
    line = _line({NOTES: header.pop(NOTES, {}) | {key: text.decode()}, **header})
    line += b" " * (-len(line) % _PREFIX)  # so that the tensors begin where any of their types may lie
    return len(line).to_bytes(_PREFIX, "little") + line + data[begin:]


def _header(data: bytes) -> tuple[dict[str, Any], int]:
    """The header, and where the tensors begin."""
    length = int.from_bytes(data[:_PREFIX], "little")
    if length > min(MOST_HEADER, len(data) - _PREFIX) or data[_PREFIX : _PREFIX + 1] != b"{":
        raise ValueError("no header")
    header: dict[str, Any] = parse_exact_json(data[_PREFIX : _PREFIX + length])
    return header, _PREFIX + length


def _span(tensor: Any) -> tuple[int, int]:
    """Where a tensor's bytes start and end, which go with its type and shape."""
    if not isinstance(tensor, dict) or tensor.keys() != _FIELDS:
        raise ValueError("a tensor has a type, a shape and offsets")
    kind, shape, offsets = tensor["dtype"], tensor["shape"], tensor["data_offsets"]
    if not isinstance(kind, str) or kind not in _BITS or not _are_sizes(shape) or not _are_sizes(offsets):
        raise ValueError("a type, shape or offsets that are none")
    bits = _BITS[kind]
    for size in shape:
        bits *= size
        if bits > _LARGEST:
            raise ValueError("a tensor larger than any memory")
    if len(offsets) != 2 or 8 * (offsets[1] - offsets[0]) != bits:
        raise ValueError("offsets that do not go with type and shape")
    return offsets[0], offsets[1]


def _are_sizes(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int and 0 <= value <= _LARGEST for value in values)


def _line(value: Any) -> bytes:
    """As JSON. Raises ValueError for half a surrogate pair, which no UTF-8 has."""
    return json.dumps(value, ensure_ascii=False, sort_keys=isinstance(value, list), separators=(",", ":")).encode()
