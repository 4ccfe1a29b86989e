"""What all commands share: their common options, and how they speak."""

from pathlib import Path
from typing import Annotated

import typer

JsonOption = Annotated[bool, typer.Option("--json", help="print one JSON object instead of text")]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu or cuda", metavar="NAME")]
RunOption = Annotated[Path | None, typer.Option("--run", help="run folder [default: the newest under runs/]")]
Overrides = Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="settings to change")]


class StoppedAndSaved(Exception):
    """A signal ended the command after it saved and said so."""
