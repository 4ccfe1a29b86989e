"""`wgan doctor`."""

from typing import Annotated

import typer

from wgan.commands.console import DeviceOption, JsonOption
from wgan.serve.base.errors import ConfigError
from wgan.serve.base.terminal import emit


def doctor(
    backend: Annotated[
        str | None, typer.Option(help="torch, torchscript, onnx or trt: exit code 1 if it cannot run")
    ] = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Show what this machine can run, and how to mend the rest."""
    from wgan.serve.artifacts.find import ROOT
    from wgan.serve.artifacts.formats import check_backend
    from wgan.serve.backends.base import check_device
    from wgan.serve.doctor.diagnosis import examine
    from wgan.serve.doctor.text import as_text

    check_device(device)
    if backend is not None:
        check_backend(backend)
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
        text += f"\n\n{backend} {verdict} {where}"
    emit(result, text, as_json)
    if backend is not None and not runs:
        raise typer.Exit(1)
