"""`wgan sample`."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wgan.commands.console import HOW, BackendOption, DeviceOption, JsonOption, ModelOption, PlaceOf, RunOption
from wgan.commands.fleet import check_fleet, hired
from wgan.commands.made import Made, result_of, text_of
from wgan.commands.onward import after_images, onward
from wgan.commands.values import one_of
from wgan.commands.where import check_out, emit_beside
from wgan.models import cautions, find_model, open_model
from wgan.serve.base.address import Place
from wgan.serve.base.paths import STDIN, STDOUT, option
from wgan.serve.base.progress import duration
from wgan.serve.base.terminal import detail, say, say_once
from wgan.serve.outputs.kinds import KINDS

if TYPE_CHECKING:
    from wgan.serve.backends.base import Backend
    from wgan.serve.fleet.run import Fleet
    from wgan.serve.sampling.request import Request
    from wgan.serve.sampling.run import Job

OUT = Path("samples")  # where nothing is named
EXAMPLES = (
    ("64 images and a picture of them all, into samples/", "wgan sample -n 64"),
    ("nine with blue hair by the built-in generator", "wgan sample -n 9 --model faces --label blue --out blue.png"),
    ("a thousand more as an array, (N, H, W, C) of 8 bits", "wgan sample -n 1000 --seed 5000 --out images.npy"),
    ("a film on the way from seed 3 to seed 14", "wgan sample --interpolate 3 14 --out way.gif"),
)  # fmt: skip
MAKE, WHERE, ADVANCED = "what to make", "where to", "advanced"


def sample(
    n: Annotated[int | None, typer.Option("-n", help="how many images", metavar="N", rich_help_panel=MAKE)] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            help="seed of the first image; the next ones count up [default: 0]", metavar="SEED", rich_help_panel=MAKE
        ),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(
            help="class of every image [default: seed s, class s mod their number]",
            metavar="CLASS",
            rich_help_panel=MAKE,
        ),
    ] = None,
    truncation: Annotated[
        float | None,
        typer.Option(
            metavar="T", help="less variety: 0.7, say [default: the latents as they are]", rich_help_panel=MAKE
        ),
    ] = None,
    interpolate: Annotated[
        tuple[int, int] | None,
        typer.Option(
            metavar="A B",
            help="the way from seed A to seed B; --out .png (a strip), .gif, .webp, folder",
            rich_help_panel=MAKE,
        ),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(metavar="K", help="images on that way [default: 32]", rich_help_panel=MAKE)
    ] = None,
    model: ModelOption = None,
    run: RunOption = None,
    out: Annotated[
        PlaceOf | None,
        typer.Option(
            help="a folder, or a file, here or s3://…: .png (grid), .npy, .npz, .tar; --interpolate: .gif, .webp too; "
            "- is stdout "
            "[default: samples, or samples-2, … where it holds other images]",
            metavar="PLACE",
            parser=option("--out", dash=STDOUT, endings=[f".{kind}" for kind in KINDS], remote=True),
            rich_help_panel=WHERE,
        ),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="what goes to stdout or a pipe: png (grid), npy, npz, tar, gif, webp [default: by the ending]",
            metavar="NAME",
            autocompletion=one_of(*KINDS),
            rich_help_panel=WHERE,
        ),
    ] = None,
    backend: BackendOption = None,
    device: DeviceOption = "auto",
    batch_size: Annotated[
        int | None, typer.Option(help="images at a time [default: 64]", metavar="N", rich_help_panel=HOW)
    ] = None,
    precision: Annotated[
        str,
        typer.Option(
            help="torch: fp32, fp16, bf16, or auto: what is faster here [others: as exported]",
            metavar="NAME",
            autocompletion=one_of("fp32", "fp16", "bf16", "auto"),
            rich_help_panel=HOW,
        ),
    ] = "fp32",
    provider: Annotated[
        str | None,
        typer.Option(
            help="onnx: cpu, cuda or tensorrt [default: by --device]",
            metavar="NAME",
            autocompletion=one_of("cpu", "cuda", "tensorrt"),
            rich_help_panel=HOW,
        ),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(help="onnx: on the CPU [default: one a core]", metavar="N", rich_help_panel=HOW)
    ] = None,
    rebuild: Annotated[
        bool,
        typer.Option(
            "--rebuild",
            help="trt: where the engine does not fit, build it from the .onnx beside it",
            rich_help_panel=HOW,
        ),
    ] = False,
    truncation_kind: Annotated[
        str | None,
        typer.Option(
            help="truncated (normals cut off at ±T) or scaled (z times T) [default: truncated]",
            metavar="NAME",
            autocompletion=one_of("truncated", "scaled"),
            rich_help_panel=ADVANCED,
        ),
    ] = None,
    latents: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="latents of your own: .npy (N, Z)",
            parser=option("--latents", dash=STDIN, file=True),
            rich_help_panel=ADVANCED,
        ),
    ] = None,
    shard_size: Annotated[
        int | None,
        typer.Option(
            metavar="S",
            help="a file for every S images: NAME.tar becomes NAME-000000.tar, … (or .npy, .npz)",
            rich_help_panel=ADVANCED,
        ),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="i/k",
            help="with --shard-size: machine i of k makes its part, i from 1",
            rich_help_panel=ADVANCED,
        ),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            "--ray",
            metavar="ADDRESS",
            help="with --shard-size: the shards by a Ray cluster: auto (this machine's), HOST:PORT, ray://HOST:PORT, "
            "or local (begun here)",
            autocompletion=one_of("auto", "local"),
            rich_help_panel=ADVANCED,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Generate images on any backend, by seed."""
    from wgan.serve.backends.base import Options
    from wgan.serve.sampling.request import Request
    from wgan.serve.sampling.run import Job
    from wgan.serve.sampling.sampler import batch_size_for

    check_out(out, format, as_json)
    asked = Request(
        n, seed, label, truncation, truncation_kind, latents, interpolate, steps, shard_size=shard_size, shard=shard
    )
    check_fleet(ray, asked)
    path, kind = find_model(model, run, backend, device=device, rebuild=rebuild)
    detail(f"{path}, by the backend {kind}")
    began, options = time.perf_counter(), Options(provider, threads)
    with _opened(ray, path, kind, device, precision, options, changed=model is not None) as (opened, fleet):
        loaded = time.perf_counter()
        detail(f"opened in {duration(loaded - began)}")
        before = opened.notice
        say_once(cautions(opened))
        shrink = say if batch_size is None else None
        job = Job(opened, asked.source(opened), asked.class_of(opened), batch_size_for(opened, batch_size), shrink)
        made = _make(asked, job, out, format, fleet)
        say_once([opened.notice if opened.notice != before else None, made.no_grid])
        seconds = time.perf_counter() - loaded
    speed = made.images / seconds
    times = {"load_seconds": loaded - began, "seconds": seconds, "images_per_second": speed}
    result = result_of(asked, job, made) | {"backend": kind, **times}
    emit_beside(made.out, result, text_of(job, made, speed), as_json)
    onward(as_json, after_images(path, kind, job.backend.metadata))


@contextmanager
def _opened(ray: str | None, *what: Any, changed: bool) -> "Iterator[tuple[Backend, Fleet | None]]":
    """The generator open here, or what workers of a Ray cluster say of it, with them; ``what``: as `open_model`."""
    if ray is None:
        with open_model(*what, changed=changed) as opened:
            yield opened, None
    else:
        with hired(ray, *what, changed=changed) as fleet:
            yield fleet.known(), fleet


def _make(asked: "Request", job: "Job", out: Place | None, format: str | None, fleet: "Fleet | None") -> Made:
    """Writes the images, or the shards that are not there yet. ``out`` is None where it was not given."""
    shards = asked.shards(out or OUT, job.source)
    if shards is not None and fleet is not None:
        tally, there = fleet.make(job, shards, asked.part)
        return Made(tally.images, shards.path, tally.shards, there, shards, fleet=tally)
    if shards is not None:
        made, files, there = job.shards(shards, asked.part, say)
        return Made(made, shards.path, files, there, shards)
    output = job.in_own_folder(OUT, say) if out is None else job.whole(out, format)
    return Made(job.source.count, output.path, grid=output.grid, manifest=output.manifest, no_grid=output.no_grid)
