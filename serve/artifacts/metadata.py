"""What an artifact says of itself: the JSON that every exported file carries."""

import dataclasses
import hashlib
import json
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from wgan.serve.artifacts.formats import FORMATS
from wgan.serve.base.errors import ArtifactError
from wgan.serve.base.foreign_json import parse_json

SCHEMA = 1
# what an image can be: its type → its layout and the range of its values
OUTPUTS: dict[str, tuple[str, tuple[float, float]]] = {"float32": ("NCHW", (-1.0, 1.0)), "uint8": ("NHWC", (0, 255))}
# of a parity report, as `export.parity` measures them
FIGURES = (
    "images", "max_abs", "mean_abs", "p999_abs", "worst_psnr_db", "pixels_off", "pixels_differ", "chunks_max_abs",
)  # fmt: skip
LARGEST = 1e100  # of a figure: float32 squared has its place
MOST_FLOPS = 1e18  # of one image


@dataclass(frozen=True)
class Latent:
    """The input z (N, dim)."""

    dim: int
    distribution: str = "normal"


@dataclass(frozen=True)
class ImageSpec:
    """The output image: one of `OUTPUTS`."""

    height: int
    width: int
    channels: int
    range: tuple[float, float] = (-1.0, 1.0)
    layout: str = "NCHW"
    dtype: str = "float32"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of one image, in the order of the layout."""
        sizes = {"C": self.channels, "H": self.height, "W": self.width}
        first, second, third = (sizes[axis] for axis in self.layout[1:])
        return first, second, third

    def with_output(self, dtype: str) -> "ImageSpec":
        """The same image as another of `OUTPUTS`."""
        layout, low_high = OUTPUTS[dtype]
        return dataclasses.replace(self, dtype=dtype, layout=layout, range=low_high)


@dataclass(frozen=True)
class Metadata:
    """One artifact's metadata. ``payload_sha256`` is the digest of the file without this metadata."""

    format: str
    precision: str
    latent: Latent
    image: ImageSpec
    payload_sha256: str
    classes: tuple[str, ...] | None = None
    opset: int | None = None
    max_batch: int | None = None  # what an engine's profile allows; None: any
    engine: Mapping[str, Any] | None = None  # TensorRT only: runtime, version, profile, targets
    source: Mapping[str, Any] = field(default_factory=dict)
    created_with: Mapping[str, str] = field(default_factory=dict)
    parity: Mapping[str, Any] | None = None
    schema: int = SCHEMA

    def to_json(self) -> str:
        """As the artifact holds it: one line, keys sorted, the same bytes for the same content."""
        values = dataclasses.asdict(self)
        return _dump(values | {"checksum": checksum_of(values)})

    def replace(self, **changes: Any) -> "Metadata":
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)

    @property
    def proven(self) -> bool:
        """Whether parity with PyTorch was measured and held."""
        return bool(self.parity and self.parity.get("passed") is True)

    @property
    def disproven(self) -> bool:
        """Whether parity with PyTorch was measured and did not hold."""
        return bool(self.parity and self.parity.get("passed") is False)


def parse(text: str | bytes, where: str) -> Metadata:
    """Metadata from JSON that anybody may have written.

    Raises:
        ArtifactError: not JSON, of a newer schema, or a field missing or out of bounds; names it and ``where``.
    """
    try:
        values = parse_json(text)
    except ValueError:
        raise ArtifactError(f"{where}: the wgan metadata is not JSON: export it again") from None
    if not isinstance(values, dict):
        raise ArtifactError(f"{where}: the wgan metadata is no JSON object: export it again")
    schema = values.get("schema")
    if isinstance(schema, int) and schema > SCHEMA:
        shown = reprlib.repr(schema)  # of any length
        raise ArtifactError(f"{where}: written by a newer wgan (schema {shown}, this one reads {SCHEMA}): update wgan")
    reader = _Reader(values, where)
    reader.integer("schema", 1, SCHEMA)
    _check_read_figures(reader)
    latent, image = reader.table("latent"), reader.table("image")
    opset = reader.integer("opset", 1, 1000) if values.get("opset") is not None else None
    max_batch = reader.integer("max_batch", 1, 2**20) if values.get("max_batch") is not None else None
    kind = reader.choice("format", tuple(FORMATS))
    metadata = Metadata(
        format=kind,
        precision=reader.choice("precision", FORMATS[kind].precisions),
        latent=Latent(latent.integer("dim", 1, 2**16), latent.choice("distribution", ("normal",))),
        image=_image(image),
        payload_sha256=reader.text("payload_sha256", 64),
        classes=reader.names("classes"),
        opset=opset,
        max_batch=max_batch,
        engine=reader.optional_mapping("engine"),
        source=reader.optional_mapping("source") or {},
        created_with=reader.optional_mapping("created_with") or {},
        parity=reader.optional_mapping("parity"),
        schema=SCHEMA,
    )
    try:
        checksum = checksum_of(values)
    except ValueError:  # NaN or Infinity, which Python reads but JSON does not have
        checksum = ""
    if values.get("checksum") != checksum:
        raise ArtifactError(f"{where} is damaged: its metadata is not as it was written; copy or export it again")
    return metadata


def _check_read_figures(reader: "_Reader") -> None:
    """Checks the fields of ``source`` and ``parity`` that are used later; both may hold more than this wgan knows."""
    if reader.optional_mapping("source") is not None:
        reader.table("source").optional_number("flops", 0, MOST_FLOPS)
    if reader.optional_mapping("parity") is None:
        return
    parity = reader.table("parity")
    for name in ("passed", "finite"):
        parity.optional_truth(name)
    for name in FIGURES:
        parity.optional_number(name, -LARGEST, LARGEST)
    for name, length in (("device", 40), ("reference", 200), ("reason", 10_000)):
        parity.optional_text(name, length)
    if not all(_is_number(gate, -LARGEST, LARGEST) for gate in (parity.optional_mapping("gates") or {}).values()):
        raise parity.bad("gates", "an object of numbers")


def _image(reader: "_Reader") -> ImageSpec:
    """The image's layout, range and type, which go together as in `OUTPUTS`; files of before uint8 state no type."""
    size, most = reader.integer, 2**14
    image = ImageSpec(size("height", 1, most), size("width", 1, most), size("channels", 1, 4))
    dtype = reader.choice("dtype", tuple(OUTPUTS)) if "dtype" in reader.values else "float32"
    layout, low_high = OUTPUTS[dtype]
    reader.choice("layout", (layout,))
    reader.pair("range", low_high)
    return image.with_output(dtype)


def _dump(values: Mapping[str, Any]) -> str:
    return json.dumps(values, sort_keys=True, allow_nan=False)


def checksum_of(values: Mapping[str, Any]) -> str:
    """SHA-256 of all the other fields: a flipped bit in a figure would otherwise go unseen."""
    rest = {name: value for name, value in values.items() if name != "checksum"}
    return hashlib.sha256(_dump(rest).encode()).hexdigest()


def _is_number(value: object, low: float, high: float) -> bool:
    # a truth value is an int to Python; NaN compares false
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


class _Reader:
    """Takes fields out of untrusted JSON, each checked."""

    def __init__(self, values: Mapping[str, Any], where: str, prefix: str = ""):
        self.values, self.where, self.prefix = values, where, prefix

    def bad(self, name: str, wanted: str) -> ArtifactError:
        shown = reprlib.repr(self.values.get(name))[:40]  # repr itself ends at a depth that JSON may have
        return ArtifactError(
            f"{self.where}: metadata field {self.prefix}{name} is {shown}, not {wanted}: export it again"
        )

    def table(self, name: str) -> "_Reader":
        value = self.values.get(name)
        if not isinstance(value, dict):
            raise self.bad(name, "an object")
        return _Reader(value, self.where, f"{self.prefix}{name}.")

    def integer(self, name: str, low: int, high: int) -> int:
        value = self.values.get(name)
        if type(value) is not int or not low <= value <= high:
            raise self.bad(name, f"a whole number from {low} to {high}")
        return value

    def choice(self, name: str, known: tuple[str, ...]) -> str:
        value = self.values.get(name)
        if not isinstance(value, str) or value not in known:
            raise self.bad(name, f"one of {', '.join(known)}")
        return value

    def pair(self, name: str, wanted: tuple[float, float]) -> None:
        value = self.values.get(name)
        if not isinstance(value, list) or value != list(wanted) or any(isinstance(item, bool) for item in value):
            raise self.bad(name, str(list(wanted)))

    def text(self, name: str, length: int) -> str:
        value = self.values.get(name)
        if not isinstance(value, str) or len(value) != length:
            raise self.bad(name, f"text of {length} characters")
        return value

    def names(self, name: str) -> tuple[str, ...] | None:
        value = self.values.get(name)
        if value is None:
            return None
        if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
            raise self.bad(name, "a list of names")
        return tuple(value)

    def optional_mapping(self, name: str) -> Mapping[str, Any] | None:
        value = self.values.get(name)
        if value is not None and not isinstance(value, dict):
            raise self.bad(name, "an object")
        return value

    def optional_number(self, name: str, low: float, high: float) -> None:
        value = self.values.get(name)
        if value is not None and not _is_number(value, low, high):
            raise self.bad(name, f"a number from {low:g} to {high:g}")

    def optional_truth(self, name: str) -> None:
        if not isinstance(self.values.get(name), bool | None):
            raise self.bad(name, "true, false or null")

    def optional_text(self, name: str, length: int) -> None:
        value = self.values.get(name)
        if value is not None and not (isinstance(value, str) and len(value) <= length):
            raise self.bad(name, f"text of at most {length} characters")
