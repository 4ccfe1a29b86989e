"""What all commands share: their common options, and how they speak."""

import json
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from wgan.serve.errors import BackendUnavailable

Json = Annotated[bool, typer.Option("--json", help="print one JSON object instead of text")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu or cuda", metavar="NAME")]
Run = Annotated[Path | None, typer.Option("--run", help="run folder [default: the newest under runs/]")]
Overrides = Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="settings to change")]


# what steers a terminal or cannot be written: controls, marks that turn the reading direction, half characters
_STEERING = (*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A), *range(0xD800, 0xE000))
_PLAIN = {code: "\ufffd" for code in _STEERING if chr(code) not in "\n\t"}


class Stopped(Exception):
    """A signal ended the command after it saved and said so."""


def emit(result: dict[str, Any], text: str, as_json: bool) -> None:
    """The command's result on stdout: the text, or the whole object."""
    print(json.dumps(result) if as_json else plain(text), flush=True)


def say(text: str) -> None:
    """A line on stderr."""
    print(plain(text), file=sys.stderr, flush=True)


def say_once(texts: Iterable[str | None]) -> None:
    """Lines on stderr: each once, however many have it to say."""
    for text in dict.fromkeys(text for text in texts if text is not None):
        say(text)


def plain(text: str) -> str:
    """Text that only writes: files, classes and what metadata says may be named anything."""
    return text.translate(_PLAIN)


def need_training() -> None:
    """Refuses a command that trains or exports where the `train` extra is missing.

    Raises:
        BackendUnavailable: names the package and the extra.
    """
    for package in ("torch", "yaml", "onnx"):
        if find_spec(package) is None:
            raise BackendUnavailable(f"this command needs {package}", extra="train")
