"""What a changed ONNX file is now: complete alone, what it computes in, and whether it still fits its metadata."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from wgan.serve.artifacts.artifact import Artifact, Changed, payload_digest
from wgan.serve.artifacts.changed import mark
from wgan.serve.artifacts.containers import Damaged
from wgan.serve.artifacts.external_data import inlined
from wgan.serve.artifacts.metadata import Metadata
from wgan.serve.artifacts.onnx_messages import TENSOR, bodies, messages, number_of, text_of
from wgan.serve.base.errors import ArtifactError

# elements of a tensor: TensorProto.DataType
TYPES = {1: "float32", 2: "uint8", 3: "int8", 6: "int32", 7: "int64", 10: "float16", 11: "float64", 16: "bfloat16"}
SHORTEST_FIRST = ("int4", "fp8", "int8", "bf16", "fp16", "fp32")  # a graph of several computes in its shortest
_OF_TYPE = {2: "int8", 3: "int8", 10: "fp16", 16: "bf16", **dict.fromkeys((17, 18, 19, 20), "fp8")}
_OF_TYPE |= dict.fromkeys((21, 22), "int4")
_QUANTISED = re.compile("Quantize|Integer|^(QLinear|QGemm|QAttention|QOrdered)")  # of an operator's name
_BY_THE_BATCH = "DynamicQuantize"  # an operator that takes its scale from all images of a batch
_MAKER = "pytorch"  # who wrote the graph that wgan exported
_LONGEST = 80  # of a tool's name


@dataclass(frozen=True)
class Value:
    """An input or an output: its type, and its sizes, None for those that are not fixed."""

    name: str
    type: str
    sizes: tuple[int | None, ...] | None

    def __str__(self) -> str:
        sizes = (
            "" if self.sizes is None else f" ({', '.join('N' if size is None else str(size) for size in self.sizes)})"
        )
        return f"{self.name[:_LONGEST]}: {self.type}{sizes}"

    def takes(self, wanted: "Value") -> bool:
        """Whether it is what was wanted, as far as it says; a batch of 1 is wanted as well as any."""
        if (self.name, self.type) != (wanted.name, wanted.type):
            return False
        if self.sizes is None or wanted.sizes is None:
            return True
        batch, *sizes = self.sizes or (0,)
        return (
            batch in (None, 1)
            and len(self.sizes) == len(wanted.sizes)
            and all(size in (None, right) for size, right in zip(sizes, wanted.sizes[1:], strict=True))
        )


class Graph:
    """What of an ONNX file says how it computes. Raises Damaged where the bytes are none."""

    def __init__(self, data: bytes):
        whole = memoryview(data)
        try:
            graphs = bodies(whole, 7)
            graph = graphs[-1] if graphs else memoryview(b"")
            self.producer = " ".join(filter(None, (text_of(whole, 2), text_of(whole, 3))))[:_LONGEST]
            self.opset = next(
                (number_of(entry, 2) for entry in bodies(whole, 8) if text_of(entry, 1) in ("", "ai.onnx")), None
            )
            # before IR 4, weights were inputs too
            weights = {text_of(tensor, 8) for tensor in bodies(graph, 5)}
            self.inputs = [value for value in map(_value, bodies(graph, 11)) if value.name not in weights]
            self.outputs = list(map(_value, bodies(graph, 12)))
            self._found = set(_computes(whole))
        except (IndexError, ValueError):  # UnicodeDecodeError is one
            raise Damaged("ONNX") from None

    @property
    def precision(self) -> str:
        """The shortest type that it computes in, or holds its weights in."""
        return next((name for name in SHORTEST_FIRST if name in self._found), "fp32")

    @property
    def one_by_one(self) -> bool:
        """Whether an image depends on the others of its batch, or only one is taken at a time."""
        return _BY_THE_BATCH in self._found or any(1 in (value.sizes or ())[:1] for value in self.inputs + self.outputs)


def as_found(changed: Changed) -> Artifact:
    """What a changed ONNX file is now, with its weights in it and nothing measured of it.

    A graph that quantises by what it finds in a batch is run one image at a time: a seed is one image.

    Raises:
        ArtifactError: damaged, its inputs and outputs do not fit its metadata, or its weights cannot be had.
    """
    path = changed.path
    try:
        data = inlined(path, changed.data)
        graph = Graph(data)
    except Damaged as error:
        raise ArtifactError(f"{path} is damaged or no {error} file: copy or export it again") from None
    _check_fits(path, graph, changed.metadata)
    known = changed.metadata
    return Artifact(
        path,
        known.replace(
            precision=graph.precision,
            opset=graph.opset or known.opset,
            max_batch=1 if graph.one_by_one else known.max_batch,
            payload_sha256=payload_digest("onnx", data),
            parity=None,
            edited=mark(changed, None if graph.producer.startswith(_MAKER) else graph.producer or None),
        ),
        data,
    )


def _check_fits(path: Path, graph: Graph, metadata: Metadata) -> None:
    """Refuses a graph that is not the generator that its metadata describes."""
    inputs = [Value("z", "float32", (None, metadata.latent.dim))]
    if metadata.classes is not None:
        inputs.append(Value("label", "int64", (None,)))
    image = Value("image", metadata.image.dtype, (None, *metadata.image.shape))
    for what, found, wanted in (("takes", graph.inputs, inputs), ("gives", graph.outputs, [image])):
        named = {value.name: value for value in found}
        fits = len(found) == len(wanted) and all(
            value.name in named and named[value.name].takes(value) for value in wanted
        )
        if not fits:
            raise ArtifactError(
                f"{path} was changed since its export and {what} {_listed(found)} where its metadata says "
                f"{_listed(wanted)}: change it with its inputs and outputs as they were"
            )


def _listed(values: list[Value]) -> str:
    return " and ".join(map(str, values[:3])) + (f" and {len(values) - 3} more" if values[3:] else "") or "nothing"


def _value(data: memoryview) -> Value:
    """A `ValueInfoProto`."""
    tensor = [found for kind in bodies(data, 2) for found in bodies(kind, 1)]
    kind = (number_of(tensor[-1], 1) if tensor else None) or 0
    shapes = bodies(tensor[-1], 2) if tensor else []
    sizes = tuple(number_of(size, 1) for size in bodies(shapes[-1], 1)) if shapes else None
    return Value(text_of(data, 1), TYPES.get(kind, f"type {kind}"), sizes)


def _computes(whole: memoryview) -> Iterator[str]:
    """The types in which the nodes compute and the weights are held."""
    for message, found in messages(whole, ("NodeProto", TENSOR, "AttributeProto")):
        if message == "NodeProto":
            operator = text_of(found, 4)
            if _QUANTISED.search(operator):
                yield "int8"
            if operator.startswith(_BY_THE_BATCH):
                yield _BY_THE_BATCH
        elif message == TENSOR:
            kind = number_of(found, 2) or 0
            # single bytes and rows of them are counts and the like, not weights
            if kind in _OF_TYPE and (kind not in (2, 3) or _rank(found) > 1):
                yield _OF_TYPE[kind]
        elif text_of(found, 1) == "to" and (kind := number_of(found, 3) or 0) in (10, 16):  # of a Cast
            yield _OF_TYPE[kind]


def _rank(tensor: memoryview) -> int:
    """How many sizes it has: numbers of a byte without the mark that another follows, packed or not."""
    return sum(byte < 0x80 for sizes in bodies(tensor, 1) for byte in sizes)
