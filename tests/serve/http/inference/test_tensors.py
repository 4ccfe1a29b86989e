"""Tensors in JSON and in binary: what they hold is what is read, and what lies is refused before it is believed."""

import json
import struct
from typing import Any

import numpy as np
import pytest

from wgan.serve.http.inference.tensors import Declared, encode_array, encode_strings, join, read_inputs, split
from wgan.serve.http.limits.refusals import Refusal

Z, SEED, LABEL = (
    Declared("z", ("FP32",), 2),
    Declared("seed", ("INT64", "UINT64")),
    Declared("label", ("INT64",), None, 4),
)
DECLARED = {each.name: each for each in (Z, SEED, LABEL)}
MOST = 4


def tensor(name: str, datatype: str, shape: Any, **rest: Any) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, **rest}


def sized(size: Any) -> dict[str, Any]:
    return {"parameters": {"binary_data_size": size}}


def read(*entries: Any, raw: bytes = b"") -> dict[str, np.ndarray]:
    return read_inputs(list(entries), memoryview(raw), DECLARED, MOST)


@pytest.mark.parametrize("data", [[1, 0.1, -2.5, 3], [[1, 0.1], [-2.5, 3]]], ids=["flat", "nested"])
def test_numbers_in_json_are_the_nearest_float32(data: list[Any]):
    z = read(tensor("z", "FP32", [2, 2], data=data))["z"]
    np.testing.assert_array_equal(z, np.array([[1, 0.1], [-2.5, 3]], np.float32), strict=True)


@pytest.mark.parametrize("shape", [[3], [3, 1]])
@pytest.mark.parametrize("datatype", ["INT64", "UINT64"])
def test_seeds_are_int64_in_json_and_in_binary(shape: list[int], datatype: str):
    wanted = np.array([0, 2**53 + 1, 2**63 - 1])
    flat = read(tensor("seed", datatype, shape, data=wanted.tolist()))
    raw = read(tensor("seed", datatype, shape, **sized(24)), raw=struct.pack("<3q", *wanted.tolist()))
    for given in (flat["seed"], raw["seed"]):
        np.testing.assert_array_equal(given, wanted, strict=True)


def test_a_column_of_seeds_may_be_nested():
    np.testing.assert_array_equal(read(tensor("seed", "INT64", [2, 1], data=[[7], [8]]))["seed"], [7, 8])


def test_raw_tensors_follow_one_another_in_the_order_of_the_inputs():
    # two seeds of the same bytes would hide an exchange
    label, z = struct.pack("<1q", 3), struct.pack("<2f", 0.5, -0.25)
    arrays = read(tensor("label", "INT64", [1], **sized(8)), tensor("z", "FP32", [1, 2], **sized(8)), raw=label + z)
    np.testing.assert_array_equal(arrays["label"], np.array([3]), strict=True)
    np.testing.assert_array_equal(arrays["z"], np.array([[0.5, -0.25]], np.float32), strict=True)


def test_what_was_read_does_not_change_with_the_body():
    raw = bytearray(8)
    seeds = read_inputs([tensor("seed", "INT64", [1], **sized(8))], memoryview(raw), DECLARED, MOST)["seed"]
    raw[0] = 1
    assert seeds[0] == 0
    assert seeds.flags.aligned


def seed(shape: Any = (1,), datatype: Any = "INT64", **rest: Any) -> dict[str, Any]:
    return tensor("seed", datatype, list(shape) if isinstance(shape, tuple) else shape, **rest)


SHAPES: list[Any] = [
    None, 1, "1", [], [0], [-1], [True], [1.0], ["1"], [MOST + 1], [1, 2], [1, 1, 1], [2**62, 2**62], [2**64],
    [10**4000], [1, True], [[1]], {"0": 1},
]  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: repr(shape)[:12])
def test_a_shape_that_is_not_declared_is_refused(shape: Any):
    for rest in ({"data": [1]}, sized(8)):
        with pytest.raises(Refusal, match=r"shape of seed is .*, not \[N\] with N from 1 to 4"):
            read(seed(shape, **rest), raw=bytes(8))
    with pytest.raises(Refusal, match=r"not \[N, 2\] with N from 1 to 4"):
        read(tensor("z", "FP32", shape if shape != [1, 2] else [1, 3], data=[1, 1]))


DATA: list[tuple[Any, str]] = [
    (None, "null, not a list"),
    (1, "1, not a list"),
    ({"0": 1}, "an object, not a list"),
    ([], "0 values in data, and 2 by its shape"),
    ([1, 2, 3], "3 values in data, and 2 by its shape"),
    ([1, True], "value 1 of seed is true"),
    ([1, 2.0], "value 1 of seed is 2.0"),
    (["1", 2], 'value 0 of seed is "1"'),
    ([1, None], "value 1 of seed is null"),
    ([1, -1], "value 1 of seed is -1, not a whole number from 0 to 2\\^63 - 1"),
    ([2**63, 1], "value 0 of seed is 9223372036854775808"),
    ([10**4000, 1], "value 0 of seed is 1000000"),
    ([float("nan"), 1], "value 0 of seed is NaN"),
    ([[1], [2]], "value 0 of seed is \\[1\\]"),
]


@pytest.mark.parametrize(("data", "message"), DATA, ids=lambda each: repr(each)[:12])
def test_data_that_is_no_list_of_seeds_is_refused(data: Any, message: str):
    with pytest.raises(Refusal, match=message):
        read(seed((2,), data=data))


@pytest.mark.parametrize(
    "data",
    [[[1, 2], 3], [[1, 2, 3]], [[1, 2]], [[1, 2], [3]], [[1, 2], [3, [4]]], [[1, 2], [3, "4"]], [[[1, 2], [3, 4]]]],
)
def test_nested_data_has_the_nesting_of_the_shape(data: list[Any]):
    with pytest.raises(Refusal, match="z is"):
        read(tensor("z", "FP32", [2, 2], data=data))


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), -float("inf"), 1e39, 10**400], ids=lambda each: repr(each)[:6]
)
def test_latents_are_finite_in_float32(value: float):
    with pytest.raises(Refusal, match="row 1 of z does not hold finite|too large for float32"):
        read(tensor("z", "FP32", [2, 2], data=[0, 0, 0, value]))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_raw_latents_are_finite(value: float):
    with pytest.raises(Refusal, match="row 1 of z does not hold finite"):
        read(tensor("z", "FP32", [2, 2], **sized(16)), raw=struct.pack("<4f", 0, 0, value, 0))


def test_raw_whole_numbers_are_in_range():
    with pytest.raises(Refusal, match="row 0 of seed does not hold a whole number from 0 to 2\\^63 - 1"):
        read(seed((1,), "UINT64", **sized(8)), raw=struct.pack("<Q", 2**63))
    with pytest.raises(Refusal, match="row 1 of seed"):
        read(seed((2,), **sized(16)), raw=struct.pack("<2q", 0, -1))
    with pytest.raises(Refusal, match="row 0 of label does not hold a whole number from 0 to 4"):
        read(tensor("label", "INT64", [1], **sized(8)), raw=struct.pack("<q", 5))


@pytest.mark.parametrize(
    "size", [None, True, -8, 0, 7, 9, 8.0, "8", 2**62, 10**4000, [8]], ids=lambda each: repr(each)[:6]
)
def test_a_size_that_is_not_that_of_the_shape_is_refused(size: Any):
    with pytest.raises(Refusal, match="binary_data_size of seed is .*, and 8 by its shape"):
        read(seed(**sized(size)), raw=bytes(8))


def test_bytes_that_are_missing_or_left_over_are_refused():
    with pytest.raises(Refusal, match="seed ends after 7 of its 8 bytes"):
        read(seed(**sized(8)), raw=bytes(7))
    with pytest.raises(Refusal, match="1 bytes follow the last tensor"):
        read(seed(**sized(8)), raw=bytes(9))
    with pytest.raises(Refusal, match="4 bytes follow"):
        read(seed(data=[1]), raw=bytes(4))
    # the second finds that the first took all
    with pytest.raises(Refusal, match="label ends after 0 of its 8 bytes"):
        read(seed(**sized(8)), tensor("label", "INT64", [1], **sized(8)), raw=bytes(8))


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([seed(data=[1]), seed(data=[1])], "seed is there twice"),
        ([tensor("w", "FP32", [1], data=[1])], 'named "w", which is not one of z, seed, label'),
        ([tensor("\ud800" * 99, "FP32", [1], data=[1])], 'named "(.ud800){40}"|named'),
        ([seed(datatype="INT32", data=[1])], 'datatype of seed is "INT32", not INT64 or UINT64'),
        ([seed(datatype=["INT64"], data=[1])], "datatype of seed is a list"),
        ([seed()], "either data or the parameter binary_data_size"),
        ([seed(data=[1], **sized(8))], "either data or the parameter binary_data_size"),
        ([seed(data=[1], parameters=[])], "parameters of seed is \\[\\], not an object"),
        ([seed(parameters={"shared_memory_region": "a"})], 'parameters of seed has "shared_memory_region"'),
        ([seed(data=[1], extra=1)], 'an input has "extra"'),
        ([[]], "an input is \\[\\], not an object"),
        ([7], "an input is 7"),
        ([seed((1,), data=[1]), tensor("label", "INT64", [2], data=[1, 1])], "differ in N: seed 1, label 2"),
    ],
)
def test_an_input_that_the_model_does_not_take_is_refused(entries: list[Any], message: str):
    with pytest.raises(Refusal, match=message) as refused:
        read(*entries)
    assert refused.value.status == 400
    assert refused.value.message.isascii()
    assert "\n" not in refused.value.message


@pytest.mark.parametrize("inputs", [None, {}, "inputs", 3])
def test_inputs_are_a_list(inputs: Any):
    with pytest.raises(Refusal, match="not a list of tensors"):
        read_inputs(inputs, memoryview(b""), DECLARED, MOST)


def test_the_length_says_where_the_json_ends():
    assert split(b'{"a": 1}', []) == ({"a": 1}, b"")
    assert split(b'{"a": 1}xyz', ["8"]) == ({"a": 1}, b"xyz")
    assert split(b'{"a": 1}', ["8"]) == ({"a": 1}, b"")


@pytest.mark.parametrize(
    "lengths", [["-1"], ["9"], [""], ["x"], ["8.0"], ["+8"], ["0x8"], ["8" * 13], ["٨"], ["8", "8"]], ids=str
)
def test_a_length_that_is_none_of_the_body_is_refused(lengths: list[str]):
    with pytest.raises(Refusal, match="Inference-Header-Content-Length is .*, not a number from 0 to the body's 8"):
        split(b'{"a": 1}', lengths)


@pytest.mark.parametrize("body", [b"", b"{", b'{"a": 1}\0', b"\xff", b"[" * 200, b"\xff\xfe{", b"1" * 5000], ids=repr)
def test_what_is_not_json_is_refused(body: bytes):
    with pytest.raises(Refusal, match="the request is not JSON \\(.*\\); where raw tensors follow it"):
        split(body, [])
    with pytest.raises(Refusal, match="the request is not JSON \\(.*\\)$"):
        split(body, [str(len(body))])


@pytest.mark.parametrize("body", [b"[]", b"1", b"null", b'"a"'])
def test_a_request_is_an_object(body: bytes):
    with pytest.raises(Refusal, match="not a JSON object"):
        split(body, [])


def parts(content: bytes, length: int | None) -> tuple[Any, bytes]:
    return json.loads(content[:length]), b"" if length is None else content[length:]


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_outputs_in_json_and_in_binary_are_the_same_values(dtype: type):
    values = np.arange(-1500, 1500).astype(np.float32).view(np.uint8)[:3000].astype(dtype)  # of more than one chunk
    if dtype == np.float32:
        values = np.random.default_rng(0).normal(size=3000).astype(dtype)
    array = values.reshape(2, 3, 500)[:, ::-1]  # not contiguous
    texts, none = parts(*join({"id": "a"}, [encode_array("x", array, False)]))
    assert none == b""
    (output,) = texts["outputs"]
    np.testing.assert_array_equal(np.array(output["data"], dtype).reshape(output["shape"]), array)
    header, raw = parts(*join({"id": "a"}, [encode_array("x", array, True)]))
    assert header["id"] == "a"
    assert header["outputs"][0] == {
        "name": "x",
        "datatype": {np.float32: "FP32", np.uint8: "UINT8"}[dtype],
        "shape": [2, 3, 500],
        "parameters": {"binary_data_size": len(raw)},
    }
    np.testing.assert_array_equal(np.frombuffer(raw, dtype).reshape(array.shape), array)


def test_raw_outputs_follow_in_their_order_beside_those_in_json():
    ones, twos = np.ones((1, 2), np.uint8), np.full((1, 2), 2, np.uint8)
    outputs = [encode_array("a", ones, True), encode_array("b", twos, False), encode_strings("c", [b"xy", b""])]
    header, raw = parts(*join({"model_name": "m"}, outputs))
    assert [each["name"] for each in header["outputs"]] == ["a", "b", "c"]
    assert header["outputs"][1]["data"] == [2, 2]
    assert header["outputs"][2] == {"name": "c", "datatype": "BYTES", "shape": [2], **sized(10)}
    assert raw == b"\1\1" + b"\2\0\0\0xy" + b"\0\0\0\0"
