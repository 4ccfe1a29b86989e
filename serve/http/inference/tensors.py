"""Tensors of the Open Inference Protocol in JSON and in its binary extension: the JSON first, raw bytes after it.

A request's own figures are compared with what it holds before anything is made of their size. N rows, W values each.
Protocol: https://github.com/kserve/open-inference-protocol; binary extension:
https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from wgan.serve.base.foreign_json import parse_exact_json
from wgan.serve.http.limits.refusals import Refusal

LENGTH = "inference-header-content-length"  # of the JSON, in bytes
DTYPES = {"FP32": "<f4", "INT64": "<i8", "UINT64": "<u8"}  # of inputs
NAMES = {np.dtype(np.float32): "FP32", np.dtype(np.uint8): "UINT8"}  # of outputs
CHUNK = 1024  # values that are written at a time: the interpreter's lock is not free meanwhile
SHOWN = 40  # characters of what a request holds, in a message


@dataclass(frozen=True)
class Declared:
    """An input that the model takes: FP32 (N, ``width``), or whole numbers (N,) or (N, 1) where ``width`` is None."""

    name: str
    datatypes: tuple[str, ...]
    width: int | None = None
    highest: int = 2**63 - 1  # of whole numbers, which start at 0

    @property
    def shape(self) -> list[int]:
        """As the model's metadata states it."""
        return [-1] if self.width is None else [-1, self.width]

    def rows(self, shape: Any, most: int) -> int:
        """N, if this shape is one of those above and N at most ``most``."""
        whole = isinstance(shape, list) and 1 <= len(shape) <= 2 and all(type(size) is int for size in shape)
        rest = ([], [1]) if self.width is None else ([self.width],)
        if not whole or shape[1:] not in rest or not 1 <= shape[0] <= most:
            wanted = "[N]" if self.width is None else f"[N, {self.width}]"
            raise Refusal.bad(f"the shape of {self.name} is {shown(shape)}, not {wanted} with N from 1 to {most}")
        return int(shape[0])

    def checked(self, values: np.ndarray) -> np.ndarray:
        """The values if each is one that the model takes: float32, or int64."""
        if self.width is not None:
            good, wanted = np.isfinite(values).all(axis=1), "finite values in float32"
        else:
            good, wanted = (values >= 0) & (values <= values.dtype.type(self.highest)), self._whole
        if not good.all():
            raise Refusal.bad(f"row {int(np.argmin(good))} of {self.name} does not hold {wanted}")
        return values if self.width is not None else values.astype(np.int64)

    @property
    def _whole(self) -> str:
        return f"a whole number from 0 to {'2^63 - 1' if self.highest == 2**63 - 1 else self.highest}"

    def from_json(self, data: Any, shape: list[int]) -> np.ndarray:
        """float32 or int64, of numbers in the shape's nesting or flat."""
        if not isinstance(data, list):
            raise Refusal.bad(f"the data of {self.name} is {shown(data)}, not a list of numbers")
        if len(shape) == 2 and any(isinstance(row, list) for row in data):
            if len(data) != shape[0] or not all(isinstance(row, list) and len(row) == shape[1] for row in data):
                raise Refusal.bad(f"the data of {self.name} is not of its shape, {shown(shape)}")
            data = list(chain.from_iterable(data))
        count = shape[0] * (shape[1] if len(shape) == 2 else 1)
        if len(data) != count:
            raise Refusal.bad(f"{self.name} has {len(data)} values in data, and {count} by its shape")
        kinds = (int,) if self.width is None else (int, float)
        for row, value in enumerate(data):  # true is an int to Python
            if type(value) not in kinds or (self.width is None and not 0 <= value <= self.highest):
                wanted = self._whole if self.width is None else "a number"
                raise Refusal.bad(f"value {row} of {self.name} is {shown(value)}, not {wanted}")
        try:
            with np.errstate(over="ignore"):  # becomes infinite, and is refused
                return np.array(data, np.float64).astype(np.float32) if self.width else np.array(data, np.int64)
        except OverflowError:
            raise Refusal.bad(f"{self.name} has a number that is too large for float32") from None


def shown(value: Any) -> str:
    """What a request holds, in a message: in ASCII, and short."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        few = len(value) <= 4 and all(type(item) in (int, float) for item in value)
        return f"[{', '.join(shown(item) for item in value)}]" if few else "a list"
    text = json.dumps(value[:SHOWN] if isinstance(value, str) else value)
    return text if len(text) <= 2 * SHOWN else f"{text[: 2 * SHOWN]}..."


def split(body: bytes, lengths: Sequence[str]) -> tuple[dict[str, Any], memoryview]:
    """The JSON object of a request, and the bytes after it; ``lengths`` are its headers `LENGTH`."""
    end = len(body)
    if lengths:
        if len(lengths) > 1 or not re.fullmatch("[0-9]{1,12}", lengths[0]) or int(lengths[0]) > end:
            given = shown(", ".join(lengths))
            raise Refusal.bad(f"Inference-Header-Content-Length is {given}, not a number from 0 to the body's {end}")
        end = int(lengths[0])
    try:
        value = parse_exact_json(body[:end])
    except ValueError as error:
        hint = "" if lengths else "; where raw tensors follow it, Inference-Header-Content-Length says where it ends"
        raise Refusal.bad(f"the request is not JSON ({error}){hint}") from None
    if not isinstance(value, dict):
        raise Refusal.bad(f"the request is {shown(value)}, not a JSON object")
    return value, memoryview(body)[end:]


def only(values: Any, known: Collection[str], what: str) -> dict[str, Any]:
    """An object without fields that nobody reads; None is an empty one."""
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise Refusal.bad(f"{what} is {shown(values)}, not an object")
    for name in values:
        if name not in known:
            raise Refusal.bad(f"{what} has {shown(name)}, which is not one of {', '.join(known)}")
    return values


def read_inputs(entries: Any, raw: memoryview, declared: Mapping[str, Declared], most: int) -> dict[str, np.ndarray]:
    """The inputs of a request, which are all of the same N, at most ``most``: float32 (N, W) or int64 (N,).

    Args:
        entries: its `inputs`.
        raw: the bytes after its JSON, which the binary ones take in turn.
        declared: what may be given.
        most: rows.

    Raises:
        Refusal: an input unknown, twice there, of another type or shape, or without its data; bytes left over.
    """
    if not isinstance(entries, list):
        raise Refusal.bad(f"inputs is {shown(entries)}, not a list of tensors")
    arrays: dict[str, np.ndarray] = {}
    for entry in entries:
        values = only(entry, ("name", "shape", "datatype", "data", "parameters"), "an input")
        name = values.get("name")
        if not isinstance(name, str) or name not in declared:
            raise Refusal.bad(f"an input is named {shown(name)}, which is not one of {', '.join(declared)}")
        if name in arrays:
            raise Refusal.bad(f"the input {name} is there twice")
        arrays[name], raw = _read(declared[name], values, raw, most)
    if len(raw):
        raise Refusal.bad(f"{len(raw)} bytes follow the last tensor")
    if len({len(array) for array in arrays.values()}) > 1:
        sizes = ", ".join(f"{name} {len(array)}" for name, array in arrays.items())
        raise Refusal.bad(f"inputs differ in N: {sizes}")
    return arrays


def _read(declared: Declared, values: Mapping[str, Any], raw: memoryview, most: int) -> tuple[np.ndarray, memoryview]:
    """One input, and the bytes after it."""
    name, shape, datatype = declared.name, values.get("shape"), values.get("datatype")
    rows = declared.rows(shape, most)
    assert isinstance(shape, list)
    if not isinstance(datatype, str) or datatype not in declared.datatypes:
        raise Refusal.bad(f"the datatype of {name} is {shown(datatype)}, not {' or '.join(declared.datatypes)}")
    parameters = only(values.get("parameters"), ("binary_data_size",), f"parameters of {name}")
    if ("data" in values) == bool(parameters):
        raise Refusal.bad(f"{name} must have either data or the parameter binary_data_size")
    if not parameters:
        array = declared.from_json(values["data"], shape)
    else:
        size, dtype = parameters["binary_data_size"], np.dtype(DTYPES[datatype])
        wanted = rows * (declared.width or 1) * dtype.itemsize
        if type(size) is not int or size != wanted:
            raise Refusal.bad(f"binary_data_size of {name} is {shown(size)}, and {wanted} by its shape")
        if size > len(raw):
            raise Refusal.bad(f"{name} ends after {len(raw)} of its {size} bytes")
        array = np.frombuffer(raw[:size], dtype).astype(dtype.newbyteorder("="))  # a copy: the bytes lie anywhere
        raw = raw[size:]
    return declared.checked(array.reshape(rows, declared.width) if declared.width else array), raw


@dataclass(frozen=True)
class Encoded:
    """An output: its JSON in pieces, and its bytes where they are not in it."""

    text: Sequence[bytes]
    raw: Sequence[bytes | memoryview] = ()


def encode_array(name: str, array: np.ndarray, binary: bool) -> Encoded:
    """An output of float32 or uint8, row by row."""
    array = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    head = {"name": name, "datatype": NAMES[array.dtype], "shape": list(array.shape)}
    if binary:
        return Encoded([_dump(head | _sized(array.nbytes))], [array.data.cast("B")])
    return Encoded([_dump(head)[:-1], b', "data": [', b", ".join(_numbers(array.reshape(-1))), b"]}"])


def encode_strings(name: str, strings: Sequence[bytes]) -> Encoded:
    """An output of BYTES (N,): each with its length before it, uint32."""
    raw = [part for string in strings for part in (len(string).to_bytes(4, "little"), string)]
    head = {"name": name, "datatype": "BYTES", "shape": [len(strings)]} | _sized(sum(map(len, raw)))
    return Encoded([_dump(head)], raw)


def join(head: Mapping[str, Any], outputs: Sequence[Encoded]) -> tuple[bytes, int | None]:
    """The body of a reply, and the length of its JSON; None where there is nothing else in it."""
    texts = [b"".join(output.text) for output in outputs]
    text = b'%s, "outputs": [%s]}' % (_dump(head)[:-1], b", ".join(texts))
    binary = any(output.raw for output in outputs)
    return b"".join([text, *(part for output in outputs for part in output.raw)]), len(text) if binary else None


def _sized(size: int) -> dict[str, Any]:
    return {"parameters": {"binary_data_size": size}}


def _dump(values: Mapping[str, Any]) -> bytes:
    return json.dumps(values, allow_nan=False).encode()


def _numbers(flat: np.ndarray) -> Iterator[bytes]:
    """Numbers in JSON, which are float32 again where they are read as such."""
    for start in range(0, len(flat), CHUNK):
        yield json.dumps(flat[start : start + CHUNK].tolist(), allow_nan=False)[1:-1].encode()
