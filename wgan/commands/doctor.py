"""`wgan doctor`."""

import os
from typing import TYPE_CHECKING, Annotated

import typer

from wgan.commands.console import DeviceOption, JsonOption
from wgan.commands.onward import onward
from wgan.commands.values import backends
from wgan.models import need_training
from wgan.serve.base.errors import ConfigError, TrainingError
from wgan.serve.base.paint import as_verdict
from wgan.serve.base.terminal import emit, say

if TYPE_CHECKING:
    from wgan.serve.doctor.diagnosis import Diagnosis

EXAMPLES = (
    ("what is installed, what clashes, what mends it", "wgan doctor"),
    ("the network, before training on many machines", "wgan doctor --distributed"),
    ("for scripts: exit code 1 where ONNX Runtime cannot use the GPU", "wgan doctor --backend onnx --device cuda"),
)


def doctor(
    backend: Annotated[
        str | None,
        typer.Option(
            help="torch, torchscript, onnx, trt or browser: exit code 1 if it cannot run",
            metavar="NAME",
            autocompletion=backends,
        ),
    ] = None,
    device: DeviceOption = "auto",
    distributed: Annotated[
        bool,
        typer.Option("--distributed", help="the network, for training on many machines; joins them under torchrun"),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what this machine can run, and how to mend the rest."""
    from wgan.serve.artifacts.formats import check_backend
    from wgan.serve.backends.base import check_device

    check_device(device)
    if backend is not None:
        check_backend(backend)
    if distributed and backend is not None:
        raise ConfigError("--distributed is about the network, --backend about this machine: ask for one of them")
    if distributed:
        _network(device, as_json)
    else:
        _machine(backend, device, as_json)


def _machine(backend: str | None, device: str, as_json: bool) -> None:
    """What runs here; exit code 1 where that which was asked for does not."""
    from wgan.serve.artifacts.find import ROOT
    from wgan.serve.doctor.diagnosis import examine
    from wgan.serve.doctor.text import as_text

    if backend is None and device != "auto":
        raise ConfigError("--device goes with --backend: name the backend that is to run on it")
    # a check of another runtime, as a container makes it, does not wait for torch
    diagnosis = examine(ROOT, timed=backend in (None, "torch", "torchscript"))
    runs = None if backend is None else diagnosis.runs(backend, device)
    result, text = diagnosis.to_dict(), as_text(diagnosis)
    if backend is not None:
        result |= {"asked": {"backend": backend, "device": device, "runs": runs}}
        where = "here" if device == "auto" else f"here on {device}"
        verdict = {True: "runs", False: "does not run", None: "is not known to run"}[runs]
        text += f"\n\n{backend} {as_verdict(verdict)} {where}"
    emit(result, text, as_json)
    if backend is not None and not runs:
        raise typer.Exit(1)
    onward(as_json, *_next(backend, diagnosis))


def _network(device: str, as_json: bool) -> None:
    """This machine's network, or under torchrun that of all its processes; exit code 1 where something is wrong."""
    from wgan.serve.doctor.network import surroundings

    own = surroundings()
    if "WORLD_SIZE" not in os.environ:
        emit(own.to_dict(), own.to_text(), as_json)
        if own.troubles:
            raise typer.Exit(1)
        return
    need_training()
    import torch

    from wgan.serve.backends.pytorch.device import torch_device
    from wgan.training.distributed import join, own_device
    from wgan.training.distributed.probe import probe

    try:
        chosen = own_device(torch.device(torch_device(device)))
        with join(chosen) as world:
            joined = probe(world, chosen, own)
    except TrainingError:
        for gap in own.troubles:
            say(f"{own.host}: {gap.why}: {gap.fix}")
        raise
    if world.first:
        emit(joined.to_dict(), joined.to_text(), as_json)
    if joined.troubles:
        raise typer.Exit(1)


def _next(backend: str | None, diagnosis: "Diagnosis") -> list[str]:
    """What can be done with what runs here."""
    from wgan.serve.artifacts.find import DEFAULT, newest_run, runs_under
    from wgan.serve.base.command import command

    runs = [row.what for row in diagnosis.backends if row.runs and backend in (None, row.what)]
    if DEFAULT in runs and (not runs_under() or (newest_run() / "export" / "generator.onnx").is_file()):
        return [command("sample", "-n", 64)]
    return [command("export", "--format", DEFAULT)] if "torch" in runs and runs_under() else []
