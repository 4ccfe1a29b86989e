"""The command line. Every subcommand imports what it needs inside itself: `wgan sample` never loads torch for ONNX.

Results go to stdout, everything else to stderr. Exit codes: 0 done, 1 a check did not hold,
2 something the user can mend (one line), 130 interrupted.
"""

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from wgan.serve.errors import BackendUnavailable, ConfigError, WganError

app = typer.Typer(
    help="Train a WGAN-GP on a folder of images and deploy its generator anywhere, proven equal to PyTorch.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

INTERRUPTED = 130

Json = Annotated[bool, typer.Option("--json", help="print one JSON object instead of text")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu or cuda", metavar="NAME")]
Run = Annotated[Path | None, typer.Option("--run", help="run folder [default: the newest under runs/]")]
Overrides = Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="settings to change")]


class Stopped(Exception):
    """A signal ended the command after it saved and said so."""


def emit(result: dict[str, Any], text: str, as_json: bool) -> None:
    """The command's result on stdout: the text, or the whole object."""
    print(json.dumps(result) if as_json else text, flush=True)


def say(text: str) -> None:
    """A line on stderr."""
    print(text, file=sys.stderr, flush=True)


@app.command()
def train(
    overrides: Overrides = None,
    data: Annotated[str | None, typer.Option(help="faces, a folder, or a .zip of images")] = None,
    config: Annotated[
        str | None, typer.Option(help="preset or YAML file [default: wgan-gp-64]", metavar="NAME|FILE")
    ] = None,
    run: Annotated[Path | None, typer.Option(help="run folder [default: a new one under runs/]")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on with the run (the newest, without --run)")] = False,
    device: Device = "auto",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show what would be trained, and its cost")] = False,
    as_json: Json = False,
) -> None:
    """Train on images, into a run folder."""
    from wgan.serve.runs import ROOT, newest_run
    from wgan.serve.torch_device import torch_device

    _need_training()
    import torch

    from wgan.training import config as settings
    from wgan.training import run as runs
    from wgan.training.loop import train as train_run

    changes = settings.parse_overrides(overrides or [])
    if data is not None:
        changes["data"] = data
    chosen = torch.device(torch_device(device))
    if resume:
        if config is not None:
            raise ConfigError("--resume goes on with the run's own configuration: change it by key=value, not --config")
        path = run or newest_run()
        if dry_run:
            resolved = settings.from_dict(changes, base=runs.RunFolder(path).read_config())
    else:
        resolved = settings.from_dict(changes, base=settings.load(config or "wgan-gp-64"))
        path = run or runs.new_path(ROOT, Path(resolved.data).stem or "run")
    if dry_run:
        from wgan.training.estimate import estimate

        plan = estimate(resolved, chosen)
        emit(plan.to_dict(), plan.to_text(), as_json)
        return
    if resume:
        folder, resolved = runs.reopen(path, changes)
    else:
        folder = runs.begin(path)
    result = train_run(folder, resolved, device=chosen, cache=path.parent / ".cache", resume=resume)
    state = "trained" if result.finished else "stopped, saved"
    swd = "" if result.swd is None else f", SWD {result.swd:.1f}"
    emit(result.to_dict(), f"{state}: {result.run}, step {result.step}{swd}", as_json)
    if not result.finished:
        raise Stopped


@app.command()
def export(
    format: Annotated[str, typer.Option("--format", help="torchscript, onnx, trt or all")],
    run: Run = None,
    checkpoint: Annotated[str, typer.Option(help="best, last or a file")] = "best",
    precision: Annotated[str, typer.Option(help="fp32 or fp16")] = "fp32",
    opset: Annotated[int, typer.Option(help="ONNX operator set")] = 11,
    max_batch: Annotated[int, typer.Option(help="largest batch that an engine takes and parity tries")] = 256,
    out: Annotated[Path | None, typer.Option(help="folder [default: export/ in the run]")] = None,
    as_json: Json = False,
) -> None:
    """Write artifacts, each proven equal to PyTorch."""
    from wgan.serve.runs import newest_run

    _need_training()
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
        load_generator(source), target, kinds, precision=precision, opset=opset, max_batch=max_batch
    ):
        say(f"wrote {artifact.path}")
        done.append(artifact)
    if folder is not None and target == folder / "export":
        write_report(folder)
    emit({"artifacts": [artifact.to_dict() for artifact in done]}, parity_table(done), as_json)


@app.command()
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

    _need_training()
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


@app.command()
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
        if kind != "torch" and not opened.metadata.proven:
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
        "load_seconds": loaded - began,
        "seconds": seconds,
        "images_per_second": n / seconds,
    }
    seeds = f"seed {seed}" if n == 1 else f"seeds {seed} to {seed + n - 1}"
    emit(result, f"{n} images ({seeds}) with {where}, {n / seconds:,.0f} images/s: {out}", as_json)


@app.command()
def demo(
    overrides: Overrides = None,
    run: Annotated[Path, typer.Option(help="run folder; gone on with if it is there")] = Path("runs/demo"),
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """The whole way, on the built-in faces."""
    from wgan.serve.torch_device import torch_device

    _need_training()
    import torch

    from wgan.export.demo import run_demo
    from wgan.training.config import parse_overrides

    result = run_demo(run, parse_overrides(overrides or []), torch.device(torch_device(device)), say)
    emit(result.to_dict(), result.to_text(), as_json)
    if not result.finished:
        raise Stopped
    if not result.passed:
        raise typer.Exit(1)


def _open(path: Path, kind: str, device: str) -> Any:
    if kind == "torch":
        _need_training()
        from wgan.training.deploy import TorchBackend

        return TorchBackend(path, device)
    from wgan.serve.backend import open_backend

    return open_backend(path, device=device)


def _need_training() -> None:
    """One line instead of an import error deep down."""
    from importlib.util import find_spec

    for package in ("torch", "yaml", "onnx"):
        if find_spec(package) is None:
            raise BackendUnavailable(f"this command needs {package}", extra="train")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    try:
        code = app(args=words, prog_name="wgan", standalone_mode=False)
        sys.stdout.flush()
        if code == INTERRUPTED:  # what newer versions of typer make of a KeyboardInterrupt
            raise KeyboardInterrupt
        return code if isinstance(code, int) else 0
    except Stopped:
        return INTERRUPTED
    except WganError as error:
        return _fail(str(error), error.exit_code, words)
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED, words)
    except BrokenPipeError:
        # the reader has gone; keep Python from failing again on its last flush
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        # usage errors come from typer or, before 0.26, from click: known by their shape
        if hasattr(error, "format_message"):
            return _fail(f"{error.format_message()} See `wgan --help`.", 2, words)
        if type(error).__name__ == "Abort":
            return _fail("interrupted", INTERRUPTED, words)
        raise


def _fail(message: str, code: int, words: list[str]) -> int:
    say(f"wgan: {' '.join(message.split())}")
    if "--json" in words:
        print(json.dumps({"error": message, "exit_code": code}), flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
