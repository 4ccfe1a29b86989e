"""`wgan export`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wgan.commands.console import WHICH, JsonOption, PlaceOf, RunOption
from wgan.commands.engines import engine_options
from wgan.commands.onward import onward, static_server, with_model
from wgan.commands.values import devices, export_formats, one_of
from wgan.models import need_training
from wgan.serve.base.command import or_again
from wgan.serve.base.errors import ConfigError
from wgan.serve.base.paths import option
from wgan.serve.base.terminal import emit, say, say_once

if TYPE_CHECKING:
    from wgan.export.exporter import Exported
    from wgan.export.formats.triton import Settings
    from wgan.export.from_run import Source
    from wgan.export.placed import Placed


EXAMPLES = (
    ("ONNX for any runtime, from the best checkpoint of the newest run", "wgan export --format onnx"),
    ("ONNX, TorchScript, a TensorRT engine and the weights alone", "wgan export --format all"),
    ("a page that draws in its visitors' browsers, for any static host", "wgan export --format web"),
    ("a model repository for NVIDIA Triton", "wgan export --format triton"),
)  # fmt: skip
MAKE, FROM, MEASURED = "what to write", WHICH, "how it is measured"
ENGINE, TRITON, WEB = "TensorRT", "Triton", "web page"


def export(
    format: Annotated[
        str,
        typer.Option(
            "--format",
            help="torchscript, onnx, trt, safetensors, all of these, web or triton",
            metavar="NAME",
            autocompletion=export_formats,
            rich_help_panel=MAKE,
        ),
    ],
    precision: Annotated[
        str,
        typer.Option(
            help="fp32, fp16, for torchscript and safetensors bf16, or auto: what is faster here",
            metavar="NAME",
            autocompletion=one_of("fp32", "fp16", "bf16", "auto"),
            rich_help_panel=MAKE,
        ),
    ] = "fp32",
    pixels: Annotated[
        str,
        typer.Option(
            help="float32, or uint8: 8-bit pixels, NHWC",
            metavar="NAME",
            autocompletion=one_of("float32", "uint8"),
            rich_help_panel=MAKE,
        ),
    ] = "float32",
    output: Annotated[str | None, typer.Option(help="what --pixels was called", hidden=True)] = None,
    opset: Annotated[int, typer.Option(help="ONNX operator set", metavar="N", rich_help_panel=MAKE)] = 11,
    data_name: Annotated[
        str | None,
        typer.Option(
            help="what the artifacts call the data [default: as in training]", metavar="NAME", rich_help_panel=MAKE
        ),
    ] = None,
    run: RunOption = None,
    checkpoint: Annotated[
        str,
        typer.Option(
            help="best, last or a file",
            metavar="NAME|FILE",
            autocompletion=one_of("best", "last"),
            rich_help_panel=FROM,
        ),
    ] = "best",
    out: Annotated[
        PlaceOf | None,
        typer.Option(
            help="folder, here or s3://… [default: export/ in the run]",
            metavar="DIR",
            parser=option("--out", remote=True),
            rich_help_panel=MAKE,
        ),
    ] = None,
    device: Annotated[
        str,
        typer.Option(
            help="what artifacts are measured on: auto, cpu or cuda",
            metavar="NAME",
            autocompletion=devices,
            rich_help_panel=MEASURED,
        ),
    ] = "auto",
    max_batch: Annotated[
        int,
        typer.Option(help="largest batch that an engine takes and parity tries", metavar="N", rich_help_panel=MEASURED),
    ] = 256,
    version_compatible: Annotated[
        bool,
        typer.Option(
            "--version-compatible", help="trt: an engine for later TensorRT versions too", rich_help_panel=ENGINE
        ),
    ] = False,
    hardware_compatible: Annotated[
        bool,
        typer.Option("--hardware-compatible", help="trt: an engine for every GPU from 8.0 on", rich_help_panel=ENGINE),
    ] = False,
    compute_capability: Annotated[
        str | None,
        typer.Option(
            help="trt-rtx: the GPUs it is for, as in 8.6,12.0; none need be here",
            metavar="LIST",
            rich_help_panel=ENGINE,
        ),
    ] = None,
    triton_backend: Annotated[
        str,
        typer.Option(
            help="with triton: onnxruntime or tensorrt",
            metavar="NAME",
            autocompletion=one_of("onnxruntime", "tensorrt"),
            rich_help_panel=TRITON,
        ),
    ] = "onnxruntime",
    triton_device: Annotated[
        str,
        typer.Option(
            help="with triton: auto, cpu or cuda", metavar="NAME", autocompletion=devices, rich_help_panel=TRITON
        ),
    ] = "auto",
    triton_queue: Annotated[
        int,
        typer.Option(
            help="with triton: requests that wait at most; a server refuses more", metavar="N", rich_help_panel=TRITON
        ),
    ] = 1024,
    triton_wait: Annotated[
        float,
        typer.Option(
            help="with triton: seconds that one waits at most before it is refused",
            metavar="SECONDS",
            rich_help_panel=TRITON,
        ),
    ] = 1.0,
    triton_instances: Annotated[
        int,
        typer.Option(help="with triton: of the model, on each GPU if there are", metavar="N", rich_help_panel=TRITON),
    ] = 1,
    triton_threads: Annotated[
        int | None,
        typer.Option(
            help="with triton: of an operator on the CPU, in each instance [default: one a core]",
            metavar="N",
            rich_help_panel=TRITON,
        ),
    ] = None,
    web_runtime: Annotated[
        Path | None,
        typer.Option(
            help="with web: ONNX Runtime Web as `npm pack` writes it [default: from the cache, or by npm]",
            metavar="FILE",
            parser=option("--web-runtime", file=True),
            rich_help_panel=WEB,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write artifacts, each proven equal to PyTorch."""
    from wgan.serve.backends.base import check_device
    from wgan.serve.base.owner import FOREVER, own

    engines = engine_options(format, version_compatible, hardware_compatible, compute_capability)
    if web_runtime is not None and format != "web":
        raise ConfigError(f"--web-runtime is for {or_again('--format', 'web', of=('export',))}")
    need_training()
    from wgan.export import from_run
    from wgan.export.formats import triton
    from wgan.export.placed import placed

    serving = triton.Settings(
        triton_backend, triton_device, max_batch, triton_queue, triton_wait, triton_instances, triton_threads
    )
    serving.check()
    check_device(device)
    choices: dict[str, Any] = {"precision": precision, "output": output or pixels, "opset": opset}
    choices |= {"data_name": data_name, "max_batch": max_batch, "device": device, "engine_options": engines}
    choices["web_runtime"] = web_runtime
    with placed(out, format) as place:
        source = from_run.Source.of(run, checkpoint, place.folder)
        with own(source.target, say, patience=FOREVER):
            done = _made(source, place, _kinds(format, serving, output or pixels), choices)
            repository = source.target / "triton"
            written = triton.write_repository(done[0].path, repository, serving) if format == "triton" else None
            place.finish()
        _show(done, None if written is None else written.facts(serving), as_json)


def _made(source: "Source", place: "Placed", kinds: list[str], choices: dict[str, Any]) -> "list[Exported]":
    """Writes the artifacts, and puts them on the run's page."""
    from wgan.export import from_run

    done = []
    for artifact in from_run.export_source(source, kinds, say=say, **choices):
        place.take(artifact.path)
        done.append(artifact)
    say_once(artifact.notice for artifact in done)
    from_run.finish(source)
    return done


def _kinds(format: str, serving: "Settings", output: str) -> list[str]:
    """The formats that are written for what `--format` names: of all of them those that have such an output."""
    from wgan.export.formats.triton import FORMATS_OF
    from wgan.export.recipe import ALL
    from wgan.serve.artifacts.formats import FORMATS
    from wgan.serve.artifacts.metadata import OUTPUTS

    if format == "all":
        without = [kind for kind in ALL if output in OUTPUTS and output not in FORMATS[kind].outputs]
        for kind in without:
            say(f"no {kind}: it holds weights alone, and --pixels {output} is not for them")
        return [kind for kind in ALL if kind not in without]
    if format != "triton":
        return [format]
    serving.check_builder()
    return [FORMATS_OF[serving.backend]]


def _show(done: "list[Exported]", served: dict[str, object] | None, as_json: bool) -> None:
    """The result, with a Triton repository, and how to start a server on it, if there is one."""
    from wgan.export.table import parity_table
    from wgan.serve.artifacts.formats import backends_of

    result: dict[str, object] = {"artifacts": [artifact.to_dict() for artifact in done]}
    text = parity_table(done)
    if served is not None:
        result["triton"] = served
        text += (
            f"\nmodel repository: {served['repository']} (model {served['model']}, version {served['version']}; "
            f"{served['seeds']} takes seeds)\nclient: {served['client']}\nstart a server: {served['command']}"
        )
    emit(result, text, as_json)
    if done:
        path, more = done[0].path, [static_server(done[0].path)] if done[0].metadata.format == "web" else []
        onward(as_json, *more, with_model(path, backends_of(done[0].metadata.format)[0].name, "sample", "-n", 64))
