"""The messages inside an ONNX file, found without a protobuf library. Field numbers: onnx.proto."""

from collections.abc import Collection, Iterator

from wgan.serve.artifacts.containers import fields, varint

TENSOR, ENTRY = "TensorProto", "StringStringEntryProto"
# message → field number → the message in it; only what leads to a node or a tensor
LEADS: dict[str, dict[int, str]] = {
    "ModelProto": {7: "GraphProto", 20: "TrainingInfoProto", 25: "FunctionProto"},
    "TrainingInfoProto": {1: "GraphProto", 2: "GraphProto"},
    "FunctionProto": {7: "NodeProto", 11: "AttributeProto"},
    "GraphProto": {1: "NodeProto", 5: TENSOR, 15: "SparseTensorProto"},
    "NodeProto": {5: "AttributeProto"},
    "AttributeProto": {
        5: TENSOR,
        6: "GraphProto",
        10: TENSOR,
        11: "GraphProto",
        22: "SparseTensorProto",
        23: "SparseTensorProto",
    },
    "SparseTensorProto": {1: TENSOR, 2: TENSOR},
    TENSOR: {13: ENTRY},
}
DEEPEST = 200  # messages inside messages; protobuf itself stops at 100


def messages(
    data: memoryview, wanted: Collection[str], message: str = "ModelProto", depth: int = 0
) -> Iterator[tuple[str, memoryview]]:
    """Every message of the wanted kinds within ``message``, with its name.

    Raises IndexError or ValueError where the bytes are none.
    """
    if depth > DEEPEST:
        raise ValueError("too deep")
    if message in wanted:
        yield message, data
    leads = LEADS.get(message, {})
    for number, _, start, end in fields(data) if leads else ():
        if number in leads:
            yield from messages(data[start:end], wanted, leads[number], depth + 1)


def bodies(data: memoryview, number: int) -> list[memoryview]:
    """The content of each field of this number."""
    return [data[start:end] for found, _, start, end in fields(data) if found == number]


def text_of(data: memoryview, number: int) -> str:
    """The last field of this number as text; empty where there is none."""
    found = bodies(data, number)
    return bytes(found[-1]).decode() if found else ""


def number_of(data: memoryview, number: int) -> int | None:
    """The last field of this number as a whole number; None where there is none."""
    found = bodies(data, number)
    return varint(found[-1], 0)[0] if found else None


def entry_of(data: memoryview) -> tuple[str, str]:
    """Key and value of a `StringStringEntryProto`."""
    return text_of(data, 1), text_of(data, 2)
