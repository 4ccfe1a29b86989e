"""`wgan bench`, and the processes that it measures in."""

import sys
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wgan.commands.console import DeviceOption, JsonOption, PlaceOf, RunOption
from wgan.commands.onward import onward, with_model
from wgan.commands.subjects import batch_sizes_of, files_of, subjects_of
from wgan.commands.values import models
from wgan.commands.where import check_page
from wgan.serve.base.address import is_address
from wgan.serve.base.errors import BackendError, ConfigError, WganError
from wgan.serve.base.paths import option
from wgan.serve.base.terminal import emit, fault, say, say_once

if TYPE_CHECKING:
    from wgan.serve.bench.side_by_side import Bench, Plan

EXAMPLES = (
    ("every artifact of the newest run, and a page", "wgan bench"),
    ("one file, two batch sizes", "wgan bench --model generator.onnx --batch-size 1,64"),
    ("for scripts: exit code 1 below 500 images a second", "wgan bench --model generator.onnx --at-least 500"),
)


def bench(
    context: typer.Context,
    model: Annotated[
        list[PlaceOf] | None,
        typer.Option(
            help="artifact or folder of them, here or s3://…, may be repeated [default: the run's export/]",
            metavar="FILE|DIR",
            autocompletion=models,
            parser=option("--model", remote=True),
        ),
    ] = None,
    run: RunOption = None,
    backends: Annotated[
        str | None,
        typer.Option(
            "--backend",
            "--backends",
            help="of them those for: torch, torchscript, onnx, trt, may be a list [default: all]",
            metavar="LIST",
        ),
    ] = None,
    batch_sizes: Annotated[
        str, typer.Option("--batch-size", "--batch-sizes", help="images at a time, may be a list", metavar="LIST")
    ] = "1,16,64,256",
    seconds: Annotated[float, typer.Option(help="how long each is timed", metavar="S")] = 2.0,
    repeats: Annotated[
        int,
        typer.Option(help="how often what was noisy or beside other work is measured again, at most", metavar="N"),
    ] = 2,
    at_least: Annotated[
        float | None,
        typer.Option(help="exit code 1 unless each artifact makes so many images a second", metavar="RATE"),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="the page to write", metavar="FILE", parser=option("--out", file=True))
    ] = Path("bench.html"),
    device: DeviceOption = "auto",
    precision: Annotated[
        list[str] | None,
        typer.Option(help="checkpoints: fp32, fp16, bf16, may be a list [default: fp32]", metavar="LIST"),
    ] = None,
    provider: Annotated[
        list[str] | None,
        typer.Option(help="onnx: cpu, cuda, tensorrt, may be a list [default: by --device]", metavar="LIST"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure artifacts side by side: speed, memory, cold start."""
    from wgan.serve.backends.base import check_device
    from wgan.serve.base.files import atomic_write
    from wgan.serve.bench.gate import gates
    from wgan.serve.bench.page import render
    from wgan.serve.bench.side_by_side import Plan
    from wgan.serve.bench.text import to_text

    check_device(device)
    _check(seconds, repeats, at_least, out)
    subjects = subjects_of(files_of(model, run, backends), precision, provider)
    found = _measured(Plan(subjects, batch_sizes_of(batch_sizes), device, seconds, repeats))
    atomic_write(out, render(found).encode())
    held = gates(found.by_subject(), at_least)
    passed = None if at_least is None else all(gate.passed for gate in held)
    undecided = [gate.name for gate in held if gate.undecided]
    result = found.to_dict() | {"out": str(out), "at_least": at_least, "passed": passed, "undecided": undecided}
    emit(result, f"{to_text(found)}\n\n{out}", as_json)
    for line in filter(None, (gate.line() for gate in held)):
        fault(f"wgan: {line}")
    if undecided:
        say(f"measure again when the machine is quiet: {as_given(context)}")
    if passed is False:
        raise typer.Exit(1)
    onward(as_json, *_quickest(found.rows))


def _measured(plan: "Plan") -> "Bench":
    """All that the plan names. Raises BackendError where nothing could be measured."""
    from wgan.serve.base.progress import counter
    from wgan.serve.bench.peak import Peaks
    from wgan.serve.bench.side_by_side import Bench, measure
    from wgan.serve.machine.load import load_average

    peaks, before = Peaks(__name__), load_average()
    with counter(quiet=0.0) as progress:
        rows = measure(__name__, plan, peak=peaks, progress=progress)
    say_once(row.get("notice") for row in rows)
    if all("error" in row for row in rows):
        raise BackendError(f"nothing could be measured: {rows[0]['file']}: {rows[0]['error']}")
    return Bench(_machine(rows), peaks.rates, rows, before, peaks.doubtful)


def _quickest(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The command that samples from what was quickest."""
    best = max((row for row in rows if "error" not in row), key=lambda row: float(row["images_per_second"]))
    path = best["path"]  # of what was fetched, the address
    return [with_model(path if is_address(path) else Path(path), best["backend"], "sample", "-n", 64)]


def as_given(context: typer.Context) -> str:
    """The command with the options that were given, whole, so that it can be pasted."""
    from wgan.serve.base.command import command

    words: list[str] = [str(context.info_name)]
    for parameter in context.command.params:
        source, value = context.get_parameter_source(str(parameter.name)), context.params[str(parameter.name)]
        if source is None or source.name != "COMMANDLINE":
            continue
        option = next((name for name in parameter.opts if name.startswith("--")), parameter.opts[0])
        for each in value if isinstance(value, list | tuple) else [value]:
            shown = f"{each:.15g}" if isinstance(each, float) else str(each)  # 400, as it was typed
            words += [option] if each is True else [option, shown]
    return command(*words)


def _check(seconds: float, repeats: int, at_least: float | None, out: Path) -> None:
    """Refuses options out of their range. Raises ConfigError."""
    if not 0 < seconds <= 3600:
        raise ConfigError(f"--seconds {seconds:g} is outside its range, up to 3600")
    if not 0 <= repeats <= 100:
        raise ConfigError(f"--repeats {repeats} is outside its range, 0 to 100")
    if at_least is not None and not at_least > 0:
        raise ConfigError(f"--at-least {at_least:g} is not more than 0")
    check_page(out)


def _machine(rows: list[dict[str, Any]]) -> dict[str, Any]:
    from wgan.serve.machine.gpu import first_gpu
    from wgan.serve.machine.hardware import cpu

    processor = cpu()
    gpu = first_gpu() if any(row.get("device") == "cuda" for row in rows) else None
    return {
        "name": f"{gpu}, {processor.name}" if gpu else processor.name,
        "threads": processor.threads,
        "gpu": str(gpu) if gpu else None,
        "python": sys.version.split()[0],
        "when": time.strftime("%Y-%m-%d %H:%M"),
    }


def case(
    path: str, kind: str, device: str, batch: str, seconds: str, precision: str, provider: str, used: str, started: str
) -> dict[str, Any]:
    """Loads an artifact, makes one image, and times a batch size: what one process measures."""
    from wgan.models import open_model
    from wgan.serve.backends.base import Options
    from wgan.serve.bench.process import device_memory, peak_memory
    from wgan.serve.bench.side_by_side import facts
    from wgan.serve.bench.speed import measure_speed
    from wgan.serve.machine.load import Watch, worst
    from wgan.serve.sampling.sampler import batch_size_for, sample

    began = time.time()
    with open_model(Path(path), kind, device, precision, Options(provider) if provider else None) as backend:
        loaded = time.time()
        list(sample(backend, 0, 1, 1))
        first = time.time()
        size = batch_size_for(backend, int(batch))
        speed = measure_speed(backend, size, float(seconds))
        count, watch, made = size * speed["batches"], Watch(), time.perf_counter()
        deque(sample(backend, 0, count, size), maxlen=0)
        rate = count / (time.perf_counter() - made)
        return worst(speed, watch.load()) | {
            "uint8_images_per_second": rate,
            "load_seconds": loaded - began,
            "first_image_seconds": first - float(started),
            "peak_memory": peak_memory(),
            "device_memory": device_memory(int(used)) if used and backend.device == "cuda" else None,
            "flops": backend.metadata.source.get("flops"),
            "provider": backend.provider,  # of ONNX Runtime
            "notice": backend.notice,
            # a checkpoint at a reduced precision is measured when it is opened
            **({"parity": facts(backend.metadata.parity)} if precision != "fp32" else {}),
        }


def _apart(words: Sequence[str]) -> dict[str, Any]:
    if words[0] != "peak":
        return case(*words)
    from wgan.serve.bench.peak import measure_peak
    from wgan.serve.machine.load import Watch

    watch = Watch()
    return {"peak": measure_peak(words[1], words[2]), **watch.load().to_dict()}


if __name__ == "__main__":
    try:
        found = _apart(sys.argv[1:])
    except WganError as error:
        found = {"error": str(error)}
    emit(found, "", True)
