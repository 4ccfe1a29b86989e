"""`wgan export` and `wgan verify`."""

from pathlib import Path
from typing import Annotated

import typer

from wgan.commands.console import Device, Json, Run, need_training
from wgan.serve.base.terminal import emit, say, say_once


def export(
    format: Annotated[str, typer.Option("--format", help="torchscript, onnx, trt, all or triton")],
    run: Run = None,
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
    as_json: Json = False,
) -> None:
    """Write artifacts, each proven equal to PyTorch."""
    from wgan.serve.artifacts.find import newest_run
    from wgan.serve.backends.base import check_device
    from wgan.serve.backends.trt.build import BuildOptions, parse_capabilities
    from wgan.serve.base.errors import ConfigError
    from wgan.serve.base.owner import FOREVER, own

    capabilities = parse_capabilities(compute_capability) if compute_capability is not None else ()
    options = BuildOptions(version_compatible, hardware_compatible, capabilities)
    if options != BuildOptions() and format not in ("trt", "all"):
        raise ConfigError(f"--format {format} has no options of an engine: use --format trt")
    need_training()
    from wgan.export import exporter
    from wgan.export.formats import triton
    from wgan.export.recipe import EXPORTERS
    from wgan.export.reference.generator import load_generator
    from wgan.export.table import parity_table
    from wgan.training.records.checkpoint import find
    from wgan.training.report import write_report

    serving = triton.Settings(triton_backend, triton_device, max_batch)
    serving.check()
    check_device(device)
    # a checkpoint file and a folder to write to need no run
    alone = checkpoint not in ("best", "last") and run is None and out is not None
    folder = None if alone else run or newest_run()
    target = out or (folder or Path()) / "export"
    with own(target, say, patience=FOREVER):
        source = Path(checkpoint) if folder is None else find(folder, checkpoint, say)
        generator = load_generator(source).with_data_name(data_name)
        if generator.step == 0:
            say(f"{source} is of a generator that was not trained")
        kinds = list(EXPORTERS) if format == "all" else [format]
        if format == "triton":
            serving.check_builder()
            kinds = [triton.FORMATS_OF[triton_backend]]
        done = []
        for artifact in exporter.export(
            generator,
            target,
            kinds,
            precision=precision,
            output=output,
            opset=opset,
            max_batch=max_batch,
            engine_options=options,
            device=device,
        ):
            if artifact.chosen is not None:
                say(artifact.chosen)
            say(f"wrote {artifact.path}")
            done.append(artifact)
        say_once(artifact.notice for artifact in done)
        if folder is not None and target == folder / "export":
            write_report(folder)
        result: dict[str, object] = {"artifacts": [artifact.to_dict() for artifact in done]}
        text = parity_table(done)
        if format == "triton":
            (model,) = (triton.write_repository(artifact.path, target / "triton", serving) for artifact in done)
            result["triton"] = {"repository": str(model.parent), "model": model.name}
            text += f"\nmodel repository: {model.parent} (model {model.name})"
    emit(result, text, as_json)


def verify(
    model: Annotated[
        Path | None, typer.Option(help="one artifact, or a folder of them [default: the run's export/]")
    ] = None,
    run: Run = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Measure artifacts against PyTorch again."""
    from wgan.serve.artifacts.find import newest_run
    from wgan.serve.base.owner import FOREVER, own

    need_training()
    from wgan.export.table import parity_table
    from wgan.export.verify import Refused, Row, passed, verify_file, verify_folder, why_not

    place = model or (run or newest_run()) / "export"
    alone = model is not None and not model.is_dir()
    done: list[Row]
    with own(place.parent if alone else place, say, patience=FOREVER, shared=True):
        done = [verify_file(place, device=device)] if alone else verify_folder(place, device=device)
    say_once(row.notice for row in done)
    say_once(row.leak for row in done)
    verdict = passed(done)
    emit({"passed": verdict, "artifacts": [row.to_dict() for row in done]}, parity_table(done), as_json)
    if any(not isinstance(row, Refused) and row.passed is False for row in done):
        raise typer.Exit(1)
    if all(isinstance(row, Refused) or row.passed is None for row in done):
        say(f"wgan: nothing could be measured here: {why_not(done[0])}")
        raise typer.Exit(2)
    if verdict is False:  # of what was refused
        raise typer.Exit(2)
