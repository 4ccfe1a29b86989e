"""`wgan sample`."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wgan.serve.console import Device, Json, Run, emit, need_training, say
from wgan.serve.errors import ConfigError

if TYPE_CHECKING:
    from wgan.serve.backend import Backend


def sample(
    n: Annotated[int, typer.Option("-n", help="how many images")],
    backend: Annotated[
        str | None, typer.Option(help="torch, torchscript, onnx or trt [default: by --model, else onnx]")
    ] = None,
    model: Annotated[Path | None, typer.Option(help="artifact [default: in the run's export/]")] = None,
    run: Run = None,
    seed: Annotated[int, typer.Option(help="seed of the first image; the next ones count up")] = 0,
    batch_size: Annotated[int | None, typer.Option(help="images at a time [default: 64]")] = None,
    out: Annotated[Path, typer.Option(help="a folder, or a file: .png (grid), .npy, .npz, .tar")] = Path("samples"),
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Generate images on any backend, by seed."""
    from wgan.serve.outputs import open_output
    from wgan.serve.runs import find_artifact
    from wgan.serve.sampler import batch_size_for
    from wgan.serve.sampler import sample as batches

    if n < 1:
        raise ConfigError(f"-n {n} is not at least 1")
    if not 0 <= seed <= 2**63 - n:
        raise ConfigError(f"--seed {seed} is outside its range, 0 to 2^63 - n")
    path, kind = find_artifact(model, run, backend)
    began = time.perf_counter()
    with _open(path, kind, device) as opened:
        loaded = time.perf_counter()
        assumes = getattr(opened, "assumes", None)  # of a file that is not ours
        if assumes is not None:
            say(assumes)
        elif kind != "torch" and not opened.metadata.proven:
            say(f"{path} was not measured against PyTorch where it was made: run `wgan verify` here")
        text = {"model": opened.digest, "backend": f"{opened.name} on {opened.device}"}
        with open_output(out, count=n, first=seed, text=text) as output:
            for first, images in batches(opened, seed, n, batch_size_for(opened, batch_size)):
                output.write(first, images)
        where = f"{opened.name} on {opened.device}"
        digest = opened.digest
    seconds = time.perf_counter() - loaded
    result = {
        "out": str(out),
        "count": n,
        "first_seed": seed,
        "backend": kind,
        "device": where.rpartition(" ")[2],
        "model": str(path),
        "model_sha256": digest,
        "assumes": assumes,
        "load_seconds": loaded - began,
        "seconds": seconds,
        "images_per_second": n / seconds,
    }
    seeds = f"seed {seed}" if n == 1 else f"seeds {seed} to {seed + n - 1}"
    emit(result, f"{n} images ({seeds}) with {where}, {n / seconds:,.0f} images/s: {out}", as_json)


def _open(path: Path, kind: str, device: str) -> "Backend":
    if kind == "torch":
        need_training()
        from wgan.training.deploy import TorchBackend

        return TorchBackend(path, device)
    from wgan.serve.stranger import open_any

    return open_any(path, device=device)
