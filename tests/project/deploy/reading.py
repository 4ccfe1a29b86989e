"""What the files of deploy/ say, as the programs that read them would understand it."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from tests import ROOT
from wgan.cli import app
from wgan.serve.http.server import LAST_WORDS

DEPLOY = ROOT / "deploy"
PROGRAM: Any = typer.main.get_command(app)
USER = 10001  # of the images, and of what runs them


def told(words: Sequence[str], name: str = "serve") -> dict[str, Any]:
    """What `wgan serve`, or another command, understands of these options. One that it does not have is an error."""
    command = PROGRAM.commands[name]
    with command.make_context(name, [str(word) for word in words]) as context:
        return dict(context.params)


def longest_end(words: Sequence[str]) -> float:
    """Seconds from SIGTERM until `wgan serve` with these options has ended, at most."""
    asked = told(words)
    return float(asked["drain_delay"] + asked["drain_timeout"] + 2 * LAST_WORDS)


def tool(name: str) -> str:
    """The path of a program, from beside this Python or from PATH; without it the test is skipped."""
    found = shutil.which(name, path=Path(sys.executable).parent) or shutil.which(name)
    if found is None:
        pytest.skip(f"needs {name}, which is not installed")
    return found


def checked(*words: str | Path) -> str:
    """What a program prints; it must end with 0."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@dataclass(frozen=True)
class Instruction:
    """One of a Dockerfile, and the stage that it is in, from 0."""

    stage: int
    name: str
    text: str

    @property
    def words(self) -> list[str]:
        """Of the exec form."""
        return [str(word) for word in json.loads(self.text[self.text.index("[") :])]


def dockerfile(path: Path) -> list[Instruction]:
    """The instructions of a Dockerfile, with continued lines joined and without comments."""
    lines = [line for line in path.read_text("utf-8").splitlines() if not line.startswith("#")]
    found, stage = [], -1
    for line in re.sub(r"\\\n", " ", "\n".join(lines)).splitlines():
        if line.strip():
            name, _, text = line.strip().partition(" ")
            stage += name == "FROM"
            found.append(Instruction(stage, name, " ".join(text.split())))
    return found


def last(instructions: list[Instruction], name: str) -> Instruction:
    """The one of this name that counts: the last, which must be in the last stage."""
    of_name = [each for each in instructions if each.name == name]
    assert of_name, name
    assert of_name[-1].stage == instructions[-1].stage, name
    return of_name[-1]


def compose() -> dict[str, Any]:
    """deploy/compose.yaml with its variables at their defaults."""
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", (DEPLOY / "compose.yaml").read_text("utf-8"))
    loaded = yaml.safe_load(text)
    assert isinstance(loaded, dict)
    return loaded


def unit() -> dict[str, list[str]]:
    """The settings of the systemd unit: name → values, in order."""
    found: dict[str, list[str]] = {}
    for line in (DEPLOY / "systemd/wgan-serve.service").read_text("utf-8").splitlines():
        if "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def options_of_unit() -> list[str]:
    """The words after `wgan serve` in the systemd unit."""
    (line,) = unit()["ExecStart"]
    words = shlex.split(line)
    return words[words.index("serve") + 1 :]
