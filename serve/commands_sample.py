"""`wgan sample`."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wgan.serve.console import Device, Json, Run, emit, need_training, say
from wgan.serve.errors import ConfigError

if TYPE_CHECKING:
    from wgan.serve.backend import Backend, OnnxOptions


def sample(
    n: Annotated[int, typer.Option("-n", help="how many images")],
    backend: Annotated[
        str | None, typer.Option(help="torch, torchscript, onnx or trt [default: by --model, else onnx]")
    ] = None,
    model: Annotated[Path | None, typer.Option(help="artifact [default: in the run's export/]")] = None,
    run: Run = None,
    seed: Annotated[int, typer.Option(help="seed of the first image; the next ones count up")] = 0,
    label: Annotated[
        str | None, typer.Option(help="class of every image [default: seed s, class s mod their number]")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="images at a time [default: 64]")] = None,
    out: Annotated[Path, typer.Option(help="a folder, or a file: .png (grid), .npy, .npz, .tar")] = Path("samples"),
    device: Device = "auto",
    precision: Annotated[str, typer.Option(help="torch: fp32, fp16 or bf16 [others: as exported]")] = "fp32",
    provider: Annotated[str | None, typer.Option(help="onnx: cpu, cuda or tensorrt [default: by --device]")] = None,
    threads: Annotated[int | None, typer.Option(help="onnx: on the CPU [default: one a core]")] = None,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="trt: where the engine does not fit, build it from the .onnx beside it")
    ] = False,
    as_json: Json = False,
) -> None:
    """Generate images on any backend, by seed."""
    from wgan.serve.backend import OnnxOptions
    from wgan.serve.outputs import open_output
    from wgan.serve.runs import find_artifact
    from wgan.serve.sampler import batch_size_for, class_number
    from wgan.serve.sampler import sample as batches

    if n < 1:
        raise ConfigError(f"-n {n} is not at least 1")
    if not 0 <= seed <= 2**63 - n:
        raise ConfigError(f"--seed {seed} is outside its range, 0 to 2^63 - n")
    path, kind = find_artifact(model, run, backend)
    if rebuild:
        _rebuild(path, kind)
    began = time.perf_counter()
    with open_model(path, kind, device, precision, OnnxOptions(provider, threads)) as opened:
        loaded = time.perf_counter()
        assumes = getattr(opened, "assumes", None)  # of a file that is not ours
        if assumes is not None:
            say(assumes)
        elif kind != "torch" and not opened.metadata.proven:
            say(f"{path} was not measured against PyTorch where it was made: run `wgan verify` here")
        text = {"model": opened.digest, "backend": f"{opened.name} on {opened.device}"}
        number = class_number(opened, label)
        with open_output(out, count=n, first=seed, text=text) as output:
            size, shrink = batch_size_for(opened, batch_size), say if batch_size is None else None
            for first, images, labels in batches(opened, seed, n, size, number, shrink=shrink):
                output.write(first, images, labels)
        where = f"{opened.name} on {opened.device}"
        digest = opened.digest
        if opened.notice is not None:
            say(opened.notice)
    seconds = time.perf_counter() - loaded
    result = {
        "out": str(out),
        "count": n,
        "first_seed": seed,
        "label": label,
        "backend": kind,
        "device": where.rpartition(" ")[2],
        "precision": opened.metadata.precision,
        "provider": getattr(opened, "provider", None),  # of ONNX Runtime
        "model": str(path),
        "model_sha256": digest,
        "assumes": assumes,
        "load_seconds": loaded - began,
        "seconds": seconds,
        "images_per_second": n / seconds,
    }
    seeds = f"seed {seed}" if n == 1 else f"seeds {seed} to {seed + n - 1}"
    emit(result, f"{n} images ({seeds}) with {where}, {n / seconds:,.0f} images/s: {out}", as_json)


def _rebuild(path: Path, kind: str) -> None:
    if kind != "trt":
        raise ConfigError(f"--rebuild is for TensorRT engines, not for {path}")
    from wgan.serve.tensorrt_fit import rebuild_if_needed

    built = rebuild_if_needed(path)
    say(f"built {path} for this machine" if built else f"{path} fits this machine: not built again")


def open_model(
    path: Path, kind: str, device: str, precision: str = "fp32", options: "OnnxOptions | None" = None
) -> "Backend":
    """An artifact or a checkpoint, as `runs.find_artifact` found it, ready to run.

    A checkpoint in another ``precision`` is measured against itself in float32, and what was found is said.

    Raises:
        WganError: as the backends raise it.
    """
    if kind == "torch":
        from wgan.serve.backend import refuse_options

        refuse_options(options, path)
        need_training()
        if precision != "fp32":
            from wgan.export.reduced import in_words, open_reduced

            reduced = open_reduced(path, device, precision)
            say(in_words(reduced))
            return reduced
        from wgan.training.deploy import TorchBackend

        return TorchBackend(path, device)
    if precision != "fp32":
        raise ConfigError(
            f"--precision {precision} is for checkpoints: {path} has the precision that it was exported in; "
            "use --backend torch, or `wgan export --precision`"
        )
    from wgan.serve.stranger import open_any

    return open_any(path, device=device, options=options)
