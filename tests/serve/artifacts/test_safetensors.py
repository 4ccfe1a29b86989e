"""Safetensors files are read by the rules of the library, without it: whatever is accepted here loads there."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, deserialize, safe_open
from safetensors.numpy import load, load_file, save, save_file

from wgan.serve.artifacts import artifact, safetensors
from wgan.serve.artifacts.containers import MOST_METADATA, SAFETENSORS, Damaged
from wgan.serve.base.errors import ArtifactError

bounded = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=200,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
NAME = "generator.safetensors"
TENSORS = {"b": np.arange(6, dtype=np.float32).reshape(2, 3), "a": np.arange(3, dtype=np.float16)}
Header = dict[str, Any]


def file_of(header: Header | str, body: bytes = b"") -> bytes:
    line = header.encode() if isinstance(header, str) else json.dumps(header).encode()
    return len(line).to_bytes(8, "little") + line + body


def parts(data: bytes) -> tuple[Header, bytes]:
    end = 8 + int.from_bytes(data[:8], "little")
    return json.loads(data[8:end]), data[end:]


def test_the_library_reads_metadata_and_weights_where_the_contract_says(tiny_export: Path) -> None:
    with safe_open(tiny_export / NAME, framework="numpy") as file:
        notes, names = file.metadata(), set(file.keys())
    assert list(notes) == ["wgan"]
    assert json.loads(notes["wgan"])["format"] == "safetensors"
    assert {"project.weight", "up.8.weight", "image.bias"} <= names
    assert names == set(load_file(tiny_export / NAME))


def test_the_tensors_begin_where_any_of_their_types_may_lie(tiny_export: Path) -> None:
    assert int.from_bytes((tiny_export / NAME).read_bytes()[:8], "little") % 8 == 0
    for text in (b"", b"x", b"xy", "é".encode(), b'"\\'):
        joined = SAFETENSORS.join(save(TENSORS), text)
        assert int.from_bytes(joined[:8], "little") % 8 == 0
        assert SAFETENSORS.split(joined)[0] == text
        assert all(np.array_equal(load(joined)[name], TENSORS[name]) for name in TENSORS)


def test_the_digest_is_of_the_tensors_wherever_they_and_the_metadata_stand(tiny_export: Path, tmp_path: Path) -> None:
    found = artifact.read(tiny_export / NAME)
    header, body = parts(found.data)
    # by another tool, which puts the tensors elsewhere
    moved, offset, bodies = dict[str, Any](), 0, b""
    for name, entry in sorted(header.items(), reverse=True):
        if name != "__metadata__":
            piece = body[slice(*entry["data_offsets"])]
            moved[name] = {**entry, "data_offsets": [offset, offset + len(piece)]}
            offset, bodies = offset + len(piece), bodies + piece
    last = {**moved, "__metadata__": header["__metadata__"]}
    for data in (file_of(last, bodies), file_of(json.dumps(last, indent=1), bodies)):
        (tmp_path / NAME).write_bytes(data)
        assert artifact.read(tmp_path / NAME).metadata == found.metadata
    save_file(load_file(tiny_export / NAME), tmp_path / NAME, header["__metadata__"])
    assert artifact.read(tmp_path / NAME).metadata == found.metadata


@pytest.mark.parametrize(
    "change",
    [
        lambda header: header.update({"up.9.weight": header.pop("up.8.weight")}),
        lambda header: header["up.8.weight"]["shape"].reverse(),
        lambda header: header["up.8.weight"].update(dtype="I32"),
        lambda header: header["__metadata__"].update(format="pt"),
        lambda header: header["image.bias"].update(data_offsets=header["image.bias"]["data_offsets"][::-1]),
    ],
)
def test_changed_names_shapes_types_and_notes_are_seen(
    tiny_export: Path, tmp_path: Path, change: Callable[[Header], object]
) -> None:
    header, body = parts((tiny_export / NAME).read_bytes())
    change(header)
    (tmp_path / NAME).write_bytes(file_of(header, body))
    with pytest.raises(ArtifactError, match="damaged"):
        artifact.read(tmp_path / NAME)


def test_every_byte_counts(tiny_export: Path, tmp_path: Path) -> None:
    data = (tiny_export / NAME).read_bytes()
    for position in [*range(16), *range(16, len(data), len(data) // 60)]:
        (tmp_path / NAME).write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
        with pytest.raises(ArtifactError):
            artifact.read(tmp_path / NAME)


def tensor(*offsets: Any, dtype: Any = "F32", shape: Any = (1,)) -> Header:
    return {"dtype": dtype, "shape": shape, "data_offsets": list(offsets)}


LYING: dict[str, tuple[bytes, bool]] = {  # → whether the library takes it all the same
    "empty": (b"", False),
    "shorter than its length": (b"\0" * 7, False),
    "no header": ((0).to_bytes(8, "little"), False),
    "a header longer than the file": ((2**63).to_bytes(8, "little") + b"{}", False),
    "a header beyond the limit": ((100_000_001).to_bytes(8, "little") + b"{}", False),
    "not JSON": (file_of("{"), False),
    "a list": (file_of("[]"), False),
    "blanks before the header": (file_of(" {}"), True),
    "not UTF-8": (b"\x04\0\0\0\0\0\0\0{\xff\xff}", False),
    "half a surrogate pair": (file_of('{"\\ud800": ' + json.dumps(tensor(0, 4)) + "}", bytes(4)), False),
    "bytes after the last tensor": (file_of({"a": tensor(0, 4)}, bytes(5)), False),
    "bytes before the first": (file_of({"a": tensor(1, 5)}, bytes(5)), False),
    "a hole": (file_of({"a": tensor(0, 4), "b": tensor(5, 9)}, bytes(9)), False),
    "an overlap": (file_of({"a": tensor(0, 4), "b": tensor(2, 6)}, bytes(6)), False),
    "the same bytes twice": (file_of({"a": tensor(0, 4), "b": tensor(0, 4)}, bytes(4)), False),
    "truncated": (file_of({"a": tensor(0, 4)}, bytes(3)), False),
    "backwards": (file_of({"a": tensor(4, 0)}, bytes(4)), False),
    "a shape of more bytes": (file_of({"a": tensor(0, 4, shape=[2])}, bytes(4)), False),
    "a shape beyond 64 bits": (file_of({"a": tensor(0, 0, shape=[2**63, 2**63, 0])}), False),
    "a size below zero": (file_of({"a": tensor(0, 4, shape=[-1])}, bytes(4)), False),
    "a size that is no whole number": (file_of({"a": tensor(0, 4, shape=[1.0])}, bytes(4)), False),
    "a size of a thousand digits": (file_of('{"a": {"dtype": "F32", "shape": [' + "9" * 1000 + "]}}"), False),
    "a type that is none": (file_of({"a": tensor(0, 4, dtype="F33")}, bytes(4)), False),
    "a type that is a list": (file_of({"a": tensor(0, 4, dtype=[])}, bytes(4)), False),
    "half a byte": (file_of({"a": tensor(0, 1, dtype="F4", shape=[1])}, bytes(1)), False),
    "three offsets": (file_of({"a": tensor(0, 2, 4)}, bytes(4)), False),
    "no offsets": (file_of({"a": {"dtype": "F32", "shape": [1]}}, bytes(4)), False),
    "no tensor": (file_of({"a": 7}), False),
    "notes that are no texts": (file_of({"__metadata__": {"wgan": 7}}), False),
    "notes that are a list": (file_of({"__metadata__": []}), False),
    "one name twice": (file_of('{"a": %s, "a": %s}' % ((json.dumps(tensor(0, 4)),) * 2), bytes(4)), True),
    "metadata twice": (file_of('{"__metadata__": {"wgan": "a"}, "__metadata__": {"wgan": "b"}}'), False),
    "a field that nobody knows": (file_of({"a": tensor(0, 4) | {"x": 1}}, bytes(4)), True),
    "nested deeply": (file_of('{"a": ' + "[" * 50_000), False),
    "metadata of more than 4 MiB": (file_of({"__metadata__": {"wgan": "x" * (MOST_METADATA + 1)}}), True),
}


@pytest.mark.parametrize(("data", "loads"), LYING.values(), ids=LYING)
def test_a_lying_file_is_damaged(tmp_path: Path, data: bytes, loads: bool) -> None:
    with pytest.raises(Damaged, match="safetensors"):
        SAFETENSORS.split(data)
    (tmp_path / NAME).write_bytes(data)
    with pytest.raises(ArtifactError, match="is damaged or no safetensors file: copy it again, or run `wgan export "):
        artifact.read(tmp_path / NAME)
    if loads:
        load(data)
    else:
        with pytest.raises(SafetensorError):
            load(data)


def loads(data: bytes) -> bool:
    try:
        deserialize(data)
    except SafetensorError:
        return False
    return True


# the newest types are not in the oldest of the library's versions that are taken
KNOWN = [kind for kind in safetensors._BITS if loads(file_of({"a": tensor(0, 0, dtype=kind, shape=[0])}))]
sizes = st.integers(-1, 9) | st.sampled_from([0, 1, 2, 2**32, 2**63, 2**64, True, 1.0, None, "1"])
kinds = st.sampled_from([*KNOWN, "F33", "", None, 7])
entries = st.fixed_dictionaries(
    {
        "dtype": st.just("F32") | kinds,
        "shape": st.just([1]) | st.lists(sizes, max_size=3) | sizes,
        "data_offsets": st.integers(0, 2).map(lambda at: [4 * at, 4 * at + 4]) | st.lists(sizes, max_size=3),
    },
    optional={"more": sizes},
)
headers = st.dictionaries(
    st.sampled_from(["a", "b", "c", "", "\0", "é", "\ud800", "__metadata__"]),
    entries | st.dictionaries(st.sampled_from(["wgan", "format"]), st.text(max_size=3) | sizes, max_size=2),
    max_size=3,
)


@bounded
@given(header=headers, length=st.sampled_from([0, 4, 8, 12]) | st.integers(0, 20))
@example(header={"a": tensor(0, 3, dtype=KNOWN[-1], shape=[6])}, length=3)  # F4, in versions that have it
@example(header={"a": tensor(0, 0, shape=[0, 2**62])}, length=0)
@example(header={"a": tensor(0, 4, shape=[])}, length=4)
@example(header={}, length=0)
def test_what_is_accepted_here_is_what_the_library_loads(header: Header, length: int) -> None:
    data = file_of(header, bytes(range(length)))
    try:
        text, digest = safetensors.split(data, "wgan")
    except ValueError:
        accepted = False
    else:
        accepted = True
        assert text is None or text.decode() == header["__metadata__"]["wgan"]
        assert safetensors.split(safetensors.join(data, "wgan", b"new"), "wgan") == (b"new", digest)
    strange = any("more" in entry for entry in header.values())  # refused here alone
    assert accepted == (not strange and loads(data))


@bounded
@given(steps=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=3), cut=st.integers(0, 40))
def test_flipped_bytes_are_damage_or_load_as_what_they_say(steps: list[tuple[int, int]], cut: int) -> None:
    whole = SAFETENSORS.join(save(TENSORS), b'{"text": 1}')
    data = bytearray(whole)
    for at, value in steps:
        data[at % len(data)] = value
    damaged = bytes(data[: len(data) - max(0, cut - 30)])
    try:
        text, digest = SAFETENSORS.split(damaged)
    except Damaged:
        return
    assert loads(damaged)
    if (text, digest) == SAFETENSORS.split(whole):
        found = load(damaged)
        assert found.keys() == TENSORS.keys()
        assert all(np.array_equal(found[name], TENSORS[name]) for name in TENSORS)
