"""`wgan export`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wgan.commands.console import JsonOption, RunOption
from wgan.models import need_training
from wgan.serve.base.command import or_again
from wgan.serve.base.errors import ConfigError
from wgan.serve.base.terminal import emit, say, say_once

if TYPE_CHECKING:
    from wgan.export.exporter import Exported
    from wgan.export.formats.triton import Settings
    from wgan.serve.backends.trt.build import BuildOptions


def export(
    format: Annotated[str, typer.Option("--format", help="torchscript, onnx, trt, all or triton")],
    run: RunOption = None,
    checkpoint: Annotated[str, typer.Option(help="best, last or a file")] = "best",
    precision: Annotated[
        str, typer.Option(help="fp32, fp16, for torchscript bf16, or auto: what is faster here")
    ] = "fp32",
    output: Annotated[str, typer.Option(help="float32, or uint8: 8-bit pixels, NHWC")] = "float32",
    opset: Annotated[int, typer.Option(help="ONNX operator set")] = 11,
    max_batch: Annotated[int, typer.Option(help="largest batch that an engine takes and parity tries")] = 256,
    version_compatible: Annotated[
        bool, typer.Option("--version-compatible", help="trt: an engine for later TensorRT versions too")
    ] = False,
    hardware_compatible: Annotated[
        bool, typer.Option("--hardware-compatible", help="trt: an engine for every GPU from 8.0 on")
    ] = False,
    compute_capability: Annotated[
        str | None, typer.Option(help="trt-rtx: the GPUs it is for, as in 8.6,12.0; none need be here")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="folder [default: export/ in the run]")] = None,
    triton_backend: Annotated[str, typer.Option(help="with triton: onnxruntime or tensorrt")] = "onnxruntime",
    triton_device: Annotated[str, typer.Option(help="with triton: auto, cpu or cuda")] = "auto",
    data_name: Annotated[
        str | None, typer.Option(help="what the artifacts call the data [default: as in training]", metavar="NAME")
    ] = None,
    device: Annotated[
        str, typer.Option(help="what artifacts are measured on: auto, cpu or cuda", metavar="NAME")
    ] = "auto",
    as_json: JsonOption = False,
) -> None:
    """Write artifacts, each proven equal to PyTorch."""
    from wgan.serve.backends.base import check_device
    from wgan.serve.base.owner import FOREVER, own

    engine_options = _engine_options(format, version_compatible, hardware_compatible, compute_capability)
    need_training()
    from wgan.export import from_run
    from wgan.export.formats import triton

    serving = triton.Settings(triton_backend, triton_device, max_batch)
    serving.check()
    check_device(device)
    source = from_run.Source.of(run, checkpoint, out)
    choices = {"precision": precision, "output": output, "opset": opset, "max_batch": max_batch, "device": device}
    with own(source.target, say, patience=FOREVER):
        done = []
        for artifact in from_run.export_source(
            source, _kinds(format, serving), say=say, data_name=data_name, engine_options=engine_options, **choices
        ):
            say(f"wrote {artifact.path}")
            done.append(artifact)
        say_once(artifact.notice for artifact in done)
        from_run.finish(source)
        model = triton.write_repository(done[0].path, source.target / "triton", serving) if format == "triton" else None
    _show(done, model, as_json)


def _kinds(format: str, serving: "Settings") -> list[str]:
    """The formats that are written for what `--format` names."""
    from wgan.export.formats.triton import FORMATS_OF
    from wgan.export.recipe import EXPORTERS

    if format != "triton":
        return list(EXPORTERS) if format == "all" else [format]
    serving.check_builder()
    return [FORMATS_OF[serving.backend]]


def _show(done: "list[Exported]", model: Path | None, as_json: bool) -> None:
    """The result, with the folder of a model in a Triton repository if there is one."""
    from wgan.export.table import parity_table

    result: dict[str, object] = {"artifacts": [artifact.to_dict() for artifact in done]}
    text = parity_table(done)
    if model is not None:
        result["triton"] = {"repository": str(model.parent), "model": model.name}
        text += f"\nmodel repository: {model.parent} (model {model.name})"
    emit(result, text, as_json)


def _engine_options(
    format: str, version_compatible: bool, hardware_compatible: bool, compute_capability: str | None
) -> "BuildOptions":
    """What an engine may run on. Raises ConfigError where no engine is to be built."""
    from wgan.serve.backends.trt.build import BuildOptions, parse_capabilities

    capabilities = parse_capabilities(compute_capability) if compute_capability is not None else ()
    options = BuildOptions(version_compatible, hardware_compatible, capabilities)
    if options != BuildOptions() and format not in ("trt", "all"):
        way = or_again("--format", "trt", of=("export",))
        raise ConfigError(f"--format {format} has no options of an engine: use {way}")
    return options
