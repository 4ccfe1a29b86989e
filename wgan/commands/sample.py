"""`wgan sample`."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wgan.commands.console import DeviceOption, JsonOption, RunOption
from wgan.models import need_training
from wgan.serve.base.errors import ConfigError, ParityError
from wgan.serve.base.terminal import emit, say, say_once

if TYPE_CHECKING:
    from wgan.serve.artifacts.metadata import Metadata
    from wgan.serve.backends.base import Backend, Options


def sample(
    n: Annotated[int | None, typer.Option("-n", help="how many images")] = None,
    backend: Annotated[
        str | None, typer.Option(help="torch, torchscript, onnx or trt [default: by --model, else onnx]")
    ] = None,
    model: Annotated[Path | None, typer.Option(help="artifact [default: in the run's export/]")] = None,
    run: RunOption = None,
    seed: Annotated[
        int | None, typer.Option(help="seed of the first image; the next ones count up [default: 0]")
    ] = None,
    label: Annotated[
        str | None, typer.Option(help="class of every image [default: seed s, class s mod their number]")
    ] = None,
    truncation: Annotated[
        float | None, typer.Option(metavar="T", help="less variety: 0.7, say [default: the latents as they are]")
    ] = None,
    truncation_kind: Annotated[
        str | None,
        typer.Option(help="truncated (normals cut off at ±T) or scaled (z times T) [default: truncated]"),
    ] = None,
    latents: Annotated[Path | None, typer.Option(metavar="FILE", help="latents of your own: .npy (N, Z)")] = None,
    interpolate: Annotated[
        tuple[int, int] | None,
        typer.Option(metavar="A B", help="the way from seed A to seed B; --out .png (a strip), .gif, .webp, folder"),
    ] = None,
    steps: Annotated[int | None, typer.Option(metavar="K", help="images on that way [default: 32]")] = None,
    batch_size: Annotated[int | None, typer.Option(help="images at a time [default: 64]")] = None,
    out: Annotated[
        Path, typer.Option(help="a folder, or a file: .png (grid), .npy, .npz, .tar; --interpolate: .gif, .webp too")
    ] = Path("samples"),
    shard_size: Annotated[
        int | None,
        typer.Option(
            metavar="S", help="a file for every S images: NAME.tar becomes NAME-000000.tar, … (or .npy, .npz)"
        ),
    ] = None,
    shard: Annotated[
        str | None, typer.Option(metavar="i/k", help="with --shard-size: machine i of k makes its part, i from 1")
    ] = None,
    device: DeviceOption = "auto",
    precision: Annotated[
        str, typer.Option(help="torch: fp32, fp16, bf16, or auto: what is faster here [others: as exported]")
    ] = "fp32",
    provider: Annotated[str | None, typer.Option(help="onnx: cpu, cuda or tensorrt [default: by --device]")] = None,
    threads: Annotated[int | None, typer.Option(help="onnx: on the CPU [default: one a core]")] = None,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="trt: where the engine does not fit, build it from the .onnx beside it")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Generate images on any backend, by seed."""
    from wgan.serve.artifacts.find import find_artifact
    from wgan.serve.backends.base import Options
    from wgan.serve.sampling.request import Request
    from wgan.serve.sampling.run import Run as SampleRun
    from wgan.serve.sampling.sampler import batch_size_for

    asked = Request(
        n, seed, label, truncation, truncation_kind, latents, interpolate, steps, shard_size=shard_size, shard=shard
    )
    path, kind = find_artifact(model, run, backend)
    if rebuild:
        _rebuild(path, kind)
    began = time.perf_counter()
    with open_model(path, kind, device, precision, Options(provider, threads)) as opened:
        loaded = time.perf_counter()
        say_once([opened.notice])
        said = opened.notice
        assumes = opened.assumes  # of a file that is not ours
        if assumes is not None:
            say(assumes)
        elif (doubt := unproven(path, opened.metadata)) is not None:
            if opened.metadata.disproven:
                raise ParityError(
                    f"{doubt}: no images are made of it; export it again, or measure again: `wgan verify`"
                )
            say(doubt)
        source = asked.source(opened)
        shrink = say if batch_size is None else None
        made = SampleRun(opened, source, asked.class_of(opened), batch_size_for(opened, batch_size), shrink)
        shards = asked.shards(out, source)
        count, files, there = source.count, None, None
        if shards is None:
            made.whole(out)
        else:
            count, files, there = made.shards(shards, asked.part, say)
        where = f"{opened.name} on {opened.device}"
        digest = opened.digest
        if opened.notice != said:
            say_once([opened.notice])
    seconds = time.perf_counter() - loaded
    result = {
        "out": str(out),
        "count": count,
        "first_seed": source.first if source.unit == "seed" else None,
        "label": label,
        "truncation": None if asked.truncated is None else str(asked.truncated),
        "latents": None if latents is None else str(latents),
        "interpolate": interpolate,
        "backend": kind,
        "device": where.rpartition(" ")[2],
        "precision": opened.metadata.precision,
        "provider": opened.provider,  # of ONNX Runtime
        "model": str(path),
        "model_sha256": digest,
        "assumes": assumes,
        "load_seconds": loaded - began,
        "seconds": seconds,
        "images_per_second": count / seconds,
    }
    last = source.first + source.count - 1
    which = f"{source.unit} {last}" if source.count == 1 else f"{source.unit}s {source.first} to {last}"
    place = str(out)
    if shards is not None:
        result |= {"manifest": str(shards.manifest), "shards": len(shards), "made": files, "skipped": there}
        which += f": {files} of {len(shards)} shards, {there} were there"
        place = str(out.with_name(shards.name(0))) + " …"
    emit(result, f"{count} images ({which}) with {where}, {count / seconds:,.0f} images/s: {place}", as_json)


def unproven(path: Path, metadata: "Metadata") -> str | None:
    """What a user must know of an artifact's parity with PyTorch; None where it holds, or there is none to hold."""
    if metadata.proven or metadata.format == "torch":
        return None
    if not metadata.disproven:
        return f"{path} was not measured against PyTorch where it was made: run `wgan verify` here"
    report = metadata.parity or {}
    figures = "" if report.get("max_abs") is None else f" (max error {report['max_abs']:.1e} on {report.get('device')})"
    return f"{path} does NOT match PyTorch{figures}"


def _rebuild(path: Path, kind: str) -> None:
    if kind != "trt":
        raise ConfigError(f"--rebuild is for TensorRT engines, not for {path}")
    from wgan.serve.backends.trt.fit import rebuild_if_needed

    built = rebuild_if_needed(path, say)
    say(f"built {path} for this machine" if built else f"{path} fits this machine: not built again")


def open_model(
    path: Path, backend: str, device: str, precision: str = "fp32", options: "Options | None" = None
) -> "Backend":
    """An artifact or a checkpoint, with the backend that `find_artifact` named, ready to run.

    A checkpoint in another ``precision`` is measured against itself in float32, and what was found is said. With `auto`
    both are timed.

    Raises:
        WganError: as the backends raise it.
    """
    from wgan.serve.artifacts.formats import BACKENDS
    from wgan.serve.backends.open import open_any, refuse_options

    if backend == "torch":
        refuse_options(options, BACKENDS[backend], path)
        need_training()
        if precision != "fp32":
            from wgan.export.reference.reduced import in_words, open_faster, open_reduced

            live = open_faster(path, device, say) if precision == "auto" else open_reduced(path, device, precision)
            if live.metadata.precision != "fp32":
                say(in_words(live))
            return live
    elif precision != "fp32":
        raise ConfigError(
            f"--precision {precision} is for checkpoints: {path} has the precision that it was exported in; "
            "use --backend torch, or `wgan export --precision`"
        )
    return open_any(path, backend=backend, device=device, options=options)
