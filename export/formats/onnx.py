"""ONNX by tracing, checked before it is returned."""

import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
import torch
from torch import nn

from wgan.serve.base.errors import ExportError

OPSETS = (11, 20)  # what torch's tracing exporter writes
MAX_IR = 10  # what runtimes of 2024 still load


def to_onnx(
    module: nn.Module, latent_dim: int, image_shape: tuple[int, ...], opset: int, *, conditional: bool = False
) -> bytes:
    """The generator as an ONNX file: z float32 (N, Z) → image (N, *image_shape), N dynamic.

    Args:
        module: a folded generator in eval mode, on the CPU.
        latent_dim: Z.
        image_shape: what it gives: (C, H, W), or (H, W, C) for pixels.
        opset: the operator set that the file must have.
        conditional: whether there is a second input, label int64 (N,).

    Raises:
        ExportError: the exporter cannot write the opset, or the file does not pass `onnx.checker`.
    """
    if not OPSETS[0] <= opset <= OPSETS[1]:
        raise ExportError(f"--opset {opset} is outside its range, {OPSETS[0]} to {OPSETS[1]}")
    try:
        with torch.no_grad(), warnings.catch_warnings(), TemporaryDirectory() as folder:
            path = Path(folder) / "generator.onnx"
            # the newer exporter cannot write opset 11 and leaves it at 18 without an error
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.simplefilter("ignore", UserWarning)
            torch.onnx.export(
                module,
                examples(latent_dim, conditional),
                path,
                input_names=["z", "label"] if conditional else ["z"],
                output_names=["image"],
                dynamic_axes={name: {0: "N"} for name in (["z", "label", "image"] if conditional else ["z", "image"])},
                opset_version=opset,
                dynamo=False,
            )
            model = onnx.load(path)
        _state_output_shape(model, image_shape)
        model.ir_version = min(model.ir_version, MAX_IR)
        onnx.checker.check_model(model, full_check=True)
    except (
        RuntimeError,
        ValueError,
        onnx.checker.ValidationError,
        torch.onnx.errors.OnnxExporterError,
    ) as error:
        raise ExportError(f"ONNX export failed: {' '.join(str(error).split())[:300]}") from None
    written = {entry.domain: entry.version for entry in model.opset_import}
    if written != {"": opset}:
        raise ExportError(f"asked for ONNX opset {opset}, the exporter wrote {written}: choose another --opset")
    return bytes(model.SerializeToString())


def examples(latent_dim: int, conditional: bool) -> tuple[torch.Tensor, ...]:
    """Inputs to trace with: a batch of 2, as one of 1 can be specialised away."""
    z = torch.zeros(2, latent_dim)
    return (z, torch.zeros(2, dtype=torch.int64)) if conditional else (z,)


def _state_output_shape(model: onnx.ModelProto, image_shape: tuple[int, ...]) -> None:
    """Writes the sizes of an image into the output, which tracing leaves symbolic."""
    (output,) = model.graph.output
    _batch, *rest = output.type.tensor_type.shape.dim
    for dimension, size in zip(rest, image_shape, strict=True):
        dimension.ClearField("dim_param")
        dimension.dim_value = size
