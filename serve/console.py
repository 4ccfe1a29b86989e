"""What all commands share: their common options, and how they speak."""

import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from wgan.serve.errors import BackendUnavailable

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


def need_training() -> None:
    """Refuses a command that trains or exports where the `train` extra is missing.

    Raises:
        BackendUnavailable: names the package and the extra.
    """
    for package in ("torch", "yaml", "onnx"):
        if find_spec(package) is None:
            raise BackendUnavailable(f"this command needs {package}", extra="train")
