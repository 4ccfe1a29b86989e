"""Whatever a client sends to the Open Inference Protocol: a whole answer, or an error of the client's."""

import copy
import json
import struct
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.fakes.generator import FakeGenerator
from tests.serve.http.serving import serving
from tests.wgan.test_fuzz import bounded, mutate, mutations, trees

pytestmark = pytest.mark.slow
Parts = tuple[dict[str, Any], bytes]  # a request: its JSON, and the bytes after it
BINARY = {"binary_data_output": True}


def entry(name: str, datatype: str, shape: list[int], size: int | None = None, data: Any = None) -> dict[str, Any]:
    rest = {"data": data} if size is None else {"parameters": {"binary_data_size": size}}
    return {"name": name, "datatype": datatype, "shape": shape, **rest}


VALID: list[Parts] = [
    ({"inputs": [entry("seed", "INT64", [2], 16)], "parameters": BINARY}, struct.pack("<2q", 1, 2**62)),
    (
        {
            "id": "a",
            "inputs": [entry("z", "FP32", [2, 192], 1536), entry("label", "INT64", [2, 1], 16)],
            "outputs": [{"name": "png", "parameters": {"binary_data": True}}, {"name": "image"}],
        },
        np.linspace(-2, 2, 384, dtype="<f4").tobytes() + struct.pack("<2q", 1, 0),
    ),
    (
        {
            "inputs": [entry("label", "INT64", [1], None, [1]), entry("seed", "UINT64", [1, 1], 8)],
            "outputs": [{"name": "pixels", "parameters": {"binary_data": False}}],
            "parameters": {"truncation": 0.5, "truncation_kind": "scaled", "timeout": 10**7},
        },
        struct.pack("<Q", 9),
    ),
]


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with serving(FakeGenerator(("cat", "dog"))) as server, server.client() as made:
        yield made


def answered(client: httpx.Client, body: bytes, length: str | None) -> int:
    """The status of an answer that is whole in itself, and the client's fault where it is an error."""
    headers = {} if length is None else {"inference-header-content-length": length}
    reply = client.post("/v2/models/fake/infer", content=body, headers=headers)
    if reply.status_code != 200:
        assert 400 <= reply.status_code < 500, reply.text
        error = reply.json()
        assert error.keys() == {"error", "code", "request_id"}
        assert error["request_id"] == reply.headers["x-request-id"]
        assert 0 < len(error["error"]) < 300
        assert len(error["error"].splitlines()) == 1
        return reply.status_code
    end = reply.headers.get("inference-header-content-length")
    header = json.loads(reply.content if end is None else reply.content[: int(end)])
    raw = b"" if end is None else reply.content[int(end) :]
    sizes = [output.get("parameters", {}).get("binary_data_size", 0) for output in header["outputs"]]
    assert sum(sizes) == len(raw)
    for output in header["outputs"]:
        assert output["shape"][0] >= 1
        if "data" in output:
            assert len(output["data"]) == np.prod(output["shape"])
    return 200


def whole(parts: Parts) -> tuple[bytes, str]:
    text = json.dumps(parts[0]).encode()
    return text + parts[1], str(len(text))


@pytest.mark.parametrize("parts", VALID)
def test_what_is_broken_below_is_right_as_it_is(client: httpx.Client, parts: Parts):
    assert answered(client, *whole(parts)) == 200


# what may stand at any place: the bounds of every check, and what has the type that is wanted
odd = trees | st.sampled_from(
    [
        [],
        {},
        [2],
        [2, 192],
        [2**62, 2**62],
        [1, 1],
        -1,
        0,
        1,
        8,
        16,
        1536,
        1e39,
        True,
        "seed",
        "z",
        "png",
        "FP32",
        "INT64",
    ]
)


@bounded
@given(parts=st.sampled_from(VALID), steps=mutations(), places=st.lists(st.integers(0, 40), max_size=3), value=odd)
@example(VALID[0], [], [], None)
def test_fields_that_are_not_as_they_should_be(
    client: httpx.Client, parts: Parts, steps: Any, places: list[int], value: Any
):
    header = json.loads(json.dumps(parts[0]))
    for place in places:
        set_at(header, place, value)
    for changed in (header, mutate(header, steps)):
        answered(client, *whole((changed, parts[1])))


@bounded
@given(
    parts=st.sampled_from(VALID), place=st.integers(0, 40), by=st.sampled_from([-(2**63), -8, -1, 1, 8, 2**31, 2**62])
)
def test_figures_that_lie(client: httpx.Client, parts: Parts, place: int, by: int):
    header = copy.deepcopy(parts[0])
    figures = [(at, key) for at in walk(header) for key in keys_of(at) if type(at[key]) is int]
    holder, key = figures[place % len(figures)]
    holder[key] += by
    answered(client, *whole((header, parts[1])))


def set_at(value: Any, place: int, new: Any) -> None:
    """Puts it in a place of the tree, counted from its start."""
    holders = [(holder, key) for holder in walk(value) for key in keys_of(holder)]
    holder, key = holders[place % len(holders)]
    holder[key] = copy.deepcopy(new)


def walk(value: Any) -> Iterator[Any]:
    if isinstance(value, list | dict) and value:
        yield value
        for key in keys_of(value):
            yield from walk(value[key])


def keys_of(value: Any) -> list[Any]:
    return list(value) if isinstance(value, dict) else list(range(len(value)))


@bounded
@given(
    parts=st.sampled_from(VALID),
    cuts=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 9), st.binary(max_size=9)), max_size=4),
    length=st.none() | st.integers(-1, 2000) | st.sampled_from(["", "1e3", "0x10", "9" * 30, "10, 10", "\xb9"]),
    shift=st.integers(-2, 2),
)
def test_bytes_that_are_not_as_they_should_be(
    client: httpx.Client, parts: Parts, cuts: list[tuple[int, int, bytes]], length: Any, shift: int
):
    body, right = whole(parts)
    for place, count, new in cuts:
        at = place % len(body) if body else 0
        body = body[:at] + new + body[at + count :]
    given_length = str(length).encode("latin-1") if length is not None else None
    for each in (given_length, str(int(right) + shift).encode()):
        answered(client, body, each)  # type: ignore[arg-type]


@bounded
@given(values=st.lists(st.floats(width=32), min_size=1, max_size=6))
def test_latents_of_any_bits(client: httpx.Client, values: list[float]):
    z = np.resize(np.array(values, "<f4"), 192).tobytes()
    parts = {
        "inputs": [entry("z", "FP32", [1, 192], 768), entry("label", "INT64", [1], None, [0])],
        "parameters": BINARY,
    }
    assert answered(client, *whole((parts, z))) == (200 if np.isfinite(values).all() else 400)
