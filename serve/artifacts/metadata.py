"""What an artifact says of itself: the JSON that every exported file carries."""

import dataclasses
import hashlib
import json
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from wgan.serve.artifacts.fields import Reader, is_number
from wgan.serve.artifacts.formats import FORMATS
from wgan.serve.base.errors import ArtifactError
from wgan.serve.base.foreign_json import parse_json

SCHEMA = 1
CHANNELS = (1, 3, 4)  # grey, RGB, RGBA
STRAIGHT = "straight"  # what the fourth channel is: alpha, by which the colours are not multiplied
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

    @property
    def alpha(self) -> str | None:
        """What the fourth channel is, `STRAIGHT`; None where there is none."""
        return STRAIGHT if self.channels == 4 else None

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
    edited: Mapping[str, Any] | None = None  # of one that a tool changed: what it was exported as, and by what
    schema: int = SCHEMA

    def to_json(self) -> str:
        """As the artifact holds it: one line, keys sorted, the same bytes for the same content."""
        values = dataclasses.asdict(self)
        if self.image.alpha is not None:
            values["image"]["alpha"] = self.image.alpha
        if self.edited is None:
            del values["edited"]  # as before there was one
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
    reader = Reader(values, where)
    reader.integer("schema", 1, SCHEMA)
    _check_read_figures(reader)
    latent, image = reader.table("latent"), reader.table("image")
    opset = reader.integer("opset", 1, 1000) if values.get("opset") is not None else None
    max_batch = reader.integer("max_batch", 1, 2**20) if values.get("max_batch") is not None else None
    kind, edited = reader.choice("format", tuple(FORMATS)), _edited(reader)
    precisions = FORMATS[kind].precisions + (FORMATS[kind].edited_precisions if edited is not None else ())
    metadata = Metadata(
        format=kind,
        precision=reader.choice("precision", precisions),
        latent=Latent(latent.integer("dim", 1, 2**16), latent.choice("distribution", ("normal",))),
        image=_image(image, FORMATS[kind].outputs),
        payload_sha256=reader.text("payload_sha256", 64),
        classes=reader.names("classes"),
        opset=opset,
        max_batch=max_batch,
        engine=reader.optional_mapping("engine"),
        source=reader.optional_mapping("source") or {},
        created_with=reader.optional_mapping("created_with") or {},
        parity=reader.optional_mapping("parity"),
        edited=edited,
        schema=SCHEMA,
    )
    try:
        checksum = checksum_of(values)
    except ValueError:  # NaN or Infinity, which Python reads but JSON does not have
        checksum = ""
    if values.get("checksum") != checksum:
        raise ArtifactError(f"{where} is damaged: its metadata is not as it was written; copy or export it again")
    return metadata


def _check_read_figures(reader: "Reader") -> None:
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
    if not all(is_number(gate, -LARGEST, LARGEST) for gate in (parity.optional_mapping("gates") or {}).values()):
        raise parity.bad("gates", "an object of numbers")


def _image(reader: "Reader", outputs: tuple[str, ...]) -> ImageSpec:
    """The image's layout, range and type, which go together as in `OUTPUTS`; files of before uint8 state no type."""
    size, most = reader.integer, 2**14
    image = ImageSpec(size("height", 1, most), size("width", 1, most), size("channels", 1, 4))
    if image.channels not in CHANNELS:
        raise reader.bad("channels", "1, 3 or 4")
    if image.alpha is not None and "alpha" in reader.values:
        reader.choice("alpha", (image.alpha,))
    dtype = reader.choice("dtype", outputs) if "dtype" in reader.values else "float32"
    layout, low_high = OUTPUTS[dtype]
    reader.choice("layout", (layout,))
    reader.pair("range", low_high)
    return image.with_output(dtype)


def _edited(reader: "Reader") -> Mapping[str, Any] | None:
    """The mark of an edit: the payload and precision that it was exported with, and the tool where that is known."""
    mark = reader.optional_mapping("edited")
    if mark is not None:
        edited = reader.table("edited")
        edited.text("exported_sha256", 64)
        edited.optional_text("exported_precision", 10)
        edited.optional_text("by", 200)
    return mark


def _dump(values: Mapping[str, Any]) -> str:
    return json.dumps(values, sort_keys=True, allow_nan=False)


def checksum_of(values: Mapping[str, Any]) -> str:
    """SHA-256 of all the other fields: a flipped bit in a figure would otherwise go unseen."""
    rest = {name: value for name, value in values.items() if name != "checksum"}
    return hashlib.sha256(_dump(rest).encode()).hexdigest()
