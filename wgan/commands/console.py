"""What all commands share: their common options, and how they speak."""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from wgan.serve.base.errors import BackendUnavailable

Json = Annotated[bool, typer.Option("--json", help="print one JSON object instead of text")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu or cuda", metavar="NAME")]
Run = Annotated[Path | None, typer.Option("--run", help="run folder [default: the newest under runs/]")]
Overrides = Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="settings to change")]


class Stopped(Exception):
    """A signal ended the command after it saved and said so."""


def need_training() -> None:
    """Refuses a command that trains or exports where the `train` extra is missing.

    Raises:
        BackendUnavailable: names the package and the extra.
    """
    for package in ("torch", "yaml", "onnx"):
        if find_spec(package) is None:
            raise BackendUnavailable(f"this command needs {package}", extra="train")
