"""What people's tools do to an ONNX file, each with its usual settings. Without pytest, so that scripts can use it."""

import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)

from wgan.serve.artifacts import artifact
from wgan.serve.artifacts.metadata import Metadata
from wgan.serve.backends.onnxrt import runtime
from wgan.serve.latents.table import latents

Edit = Callable[[Path, Path], None]


class Rows(CalibrationDataReader):  # type: ignore[misc]
    """Rows of the latent table to calibrate by, the zero latent and ±4σ among them, of every class."""

    def __init__(self, metadata: Metadata, batches: int = 2, size: int = 32):
        self._metadata, self._size, self._firsts = metadata, size, iter(range(0, batches * size, size))

    def get_next(self) -> dict[str, np.ndarray] | None:
        first = next(self._firsts, None)
        if first is None:
            return None
        z = latents(first, self._size, self._metadata.latent.dim)
        z[:3] = np.array([0, 4, -4], np.float32)[:, None]
        z[3:8] = np.where(z[3:8] < 0, -4, 4)
        classes = self._metadata.classes
        return {"z": z} if classes is None else {"z": z, "label": np.arange(self._size) % len(classes)}


def doc_string(source: Path, to: Path) -> None:
    model = onnx.load(source)
    model.doc_string = "ours"
    onnx.save(model, to)


def slimmed(source: Path, to: Path) -> None:
    import onnxslim

    onnx.save(onnxslim.slim(onnx.load(source)), to)


def newer_opset(source: Path, to: Path) -> None:
    onnx.save(onnx.version_converter.convert_version(onnx.load(source), 21), to)


def optimised(source: Path, to: Path) -> None:
    ort = runtime.load()
    settings = ort.SessionOptions()
    settings.log_severity_level = 4
    settings.optimized_model_filepath = str(to)
    ort.InferenceSession(str(source), settings, providers=["CPUExecutionProvider"])


def external(source: Path, to: Path) -> None:
    onnx.save(onnx.load(source), to, save_as_external_data=True, location=f"{to.name}.data", size_threshold=64)


def half(source: Path, to: Path, *, keep_io_types: bool = True) -> None:
    from onnxconverter_common import float16

    onnx.save(float16.convert_float_to_float16(onnx.load(source), keep_io_types=keep_io_types), to)


def dynamic(source: Path, to: Path) -> None:
    with quietly():
        quantize_dynamic(source, to)


def static(source: Path, to: Path, **changes: Any) -> None:
    usual = {"weight_type": QuantType.QInt8, "activation_type": QuantType.QInt16, "quant_format": QuantFormat.QDQ}
    with quietly():
        quantize_static(source, to, Rows(artifact.read(source).metadata), **(usual | changes))


def operators(source: Path, to: Path) -> None:
    static(source, to, activation_type=QuantType.QUInt8, quant_format=QuantFormat.QOperator)


def weights(source: Path, to: Path, times: float = 1.01) -> None:
    """Another generator's images under this one's metadata."""
    model = onnx.load(source)
    first = model.graph.initializer[0]
    first.CopyFrom(onnx.numpy_helper.from_array(times * onnx.numpy_helper.to_array(first), first.name))
    onnx.save(model, to)


@contextmanager
def quietly() -> Iterator[None]:
    """The quantiser warns through the root logger that it was not preceded by another tool."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


# tool → what it does, and what the graph computes in afterwards
EDITS: dict[str, tuple[Edit, str]] = {
    "doc_string": (doc_string, "fp32"),
    "onnxslim": (slimmed, "fp32"),
    "version_converter": (newer_opset, "fp32"),
    "ONNX Runtime": (optimised, "fp32"),
    "external data": (external, "fp32"),
    "float16": (half, "fp16"),
    "quantize_dynamic": (dynamic, "int8"),
    "quantize_static QDQ": (static, "int8"),
    "quantize_static QOperator": (operators, "int8"),
}


def beside_its_generator(export: Path, folder: Path, edit: Edit) -> Path:
    """A folder with the generator of an export and an edited copy of its ONNX file."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(export / "generator.pt", folder)
    to = folder / "generator.onnx"
    edit(export / "generator.onnx", to)
    return to
