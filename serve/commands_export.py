"""`wgan export` and `wgan verify`."""

from pathlib import Path
from typing import Annotated

import typer

from wgan.serve.console import Device, Json, Run, emit, need_training, say


def export(
    format: Annotated[str, typer.Option("--format", help="torchscript, onnx, trt or all")],
    run: Run = None,
    checkpoint: Annotated[str, typer.Option(help="best, last or a file")] = "best",
    precision: Annotated[str, typer.Option(help="fp32 or fp16")] = "fp32",
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
    as_json: Json = False,
) -> None:
    """Write artifacts, each proven equal to PyTorch."""
    from wgan.serve.errors import ConfigError
    from wgan.serve.runs import newest_run
    from wgan.serve.tensorrt_build import BuildOptions, parse_capabilities

    capabilities = parse_capabilities(compute_capability) if compute_capability is not None else ()
    options = BuildOptions(version_compatible, hardware_compatible, capabilities)
    if options != BuildOptions() and format not in ("trt", "all"):
        raise ConfigError(f"--format {format} has no options of an engine: use --format trt")
    need_training()
    from wgan.export import exporter
    from wgan.export.show import parity_table
    from wgan.training.checkpoint import find
    from wgan.training.deploy import load_generator
    from wgan.training.report import write_report

    # a checkpoint file and a folder to write to need no run
    alone = checkpoint not in ("best", "last") and run is None and out is not None
    folder = None if alone else run or newest_run()
    source = Path(checkpoint) if folder is None else find(folder, checkpoint)
    target = out or (folder or Path()) / "export"
    kinds = list(exporter.ENDINGS) if format == "all" else [format]
    done = []
    for artifact in exporter.export(
        load_generator(source),
        target,
        kinds,
        precision=precision,
        opset=opset,
        max_batch=max_batch,
        engine_options=options,
    ):
        say(f"wrote {artifact.path}")
        done.append(artifact)
    if folder is not None and target == folder / "export":
        write_report(folder)
    emit({"artifacts": [artifact.to_dict() for artifact in done]}, parity_table(done), as_json)


def verify(
    model: Annotated[Path | None, typer.Option(help="one artifact [default: all of the run's]")] = None,
    run: Run = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Measure artifacts against PyTorch again."""
    from wgan.serve.artifact import list_folder
    from wgan.serve.errors import ArtifactError
    from wgan.serve.runs import newest_run

    need_training()
    from wgan.export import exporter
    from wgan.export.show import parity_table

    if model is not None:
        done = [exporter.verify(model, device=device)]
    else:
        folder = (run or newest_run()) / "export"
        files = list_folder(folder)
        if not files:
            raise ArtifactError(f"nothing exported in {folder}: run `wgan export --format onnx` first")
        done = [exporter.verify(path, device=device, required=False) for path in files]
    passed = all(artifact.passed is not False for artifact in done)
    emit(
        {"passed": passed, "artifacts": [artifact.to_dict() for artifact in done]},
        parity_table(done),
        as_json,
    )
    if not passed:
        raise typer.Exit(1)
