"""Checkpoints: everything a run needs to go on, and the generator to export. Never unpickled code."""

import contextlib
import hashlib
import os
import re
import shutil
from pathlib import Path
from typing import Any

import torch

from wgan.serve.errors import CheckpointError, OutputError
from wgan.serve.files import atomic_path

SCHEMA = 2  # 1: networks without options
_NAME = re.compile(r"step-(\d+)\.pt")


def save(path: Path, state: dict[str, Any]) -> None:
    """Writes ``state`` (tensors, numbers, text, dicts, lists) whole or not at all.

    Raises:
        OutputError: the disk is full or the folder cannot be written; earlier checkpoints stay.
    """
    with atomic_path(path) as temporary:
        try:
            torch.save({"schema": SCHEMA, **state}, temporary)
        except RuntimeError as error:  # what torch makes of a failed write, without the reason
            raise OutputError(
                f"cannot write {path}: the disk is full or refuses to write; free some space, "
                "what was saved before is whole"
            ) from error


def load(path: Path) -> dict[str, Any]:
    """The state that `save` wrote, on the CPU.

    Raises:
        CheckpointError: missing, truncated, not ours, or of a newer schema.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f"no checkpoint {path}") from None
    except Exception:  # foreign bytes lead the reader into whatever error they like
        raise CheckpointError(f"{path} is damaged or no checkpoint of wgan: use another one") from None
    if not isinstance(state, dict) or not isinstance(state.get("schema"), int):
        raise CheckpointError(f"{path} is no checkpoint of wgan")
    if state["schema"] < SCHEMA:
        raise CheckpointError(f"{path} was written by an earlier wgan (schema {state['schema']}): train again")
    if state["schema"] > SCHEMA:
        raise CheckpointError(f"{path} was written by a newer wgan (schema {state['schema']}): update wgan")
    return state


def list_steps(folder: Path) -> list[Path]:
    """The run's `step-*.pt`, oldest first."""
    found = [(int(match[1]), path) for path in folder.glob("step-*.pt") if (match := _NAME.fullmatch(path.name))]
    return [path for _, path in sorted(found)]


def step_path(folder: Path, step: int) -> Path:
    """Where the checkpoint after ``step`` generator updates goes."""
    return folder / f"step-{step:08d}.pt"


def load_last(folder: Path) -> tuple[Path, dict[str, Any]]:
    """The newest whole checkpoint; a damaged one is passed over for the one before it.

    Raises:
        CheckpointError: there is none.
    """
    for path in reversed(list_steps(folder)):
        with contextlib.suppress(CheckpointError):
            return path, load(path)
    raise CheckpointError(f"no whole checkpoint in {folder}: start the run again without --resume")


def find(run: Path, which: str) -> Path:
    """The file that `--checkpoint best|last|FILE` means.

    Raises:
        CheckpointError: there is none.
    """
    folder = run / "checkpoints"
    if which == "last":
        return load_last(folder)[0]
    if which == "best":
        best = folder / "best.pt"
        return best if best.is_file() else load_last(folder)[0]
    if not Path(which).is_file():
        raise CheckpointError(f"no checkpoint {which!r}: say best, last or a file")
    return Path(which)


def mark_best(path: Path) -> None:
    """Makes ``path`` the folder's `best.pt`: the same bytes, kept when the step file is pruned."""
    with atomic_path(path.with_name("best.pt")) as temporary:
        try:
            os.link(path, temporary)
        except OSError:  # a file system without hard links
            shutil.copyfile(path, temporary)


def prune(folder: Path, keep: int) -> None:
    """Removes all but the ``keep`` newest step files."""
    for path in list_steps(folder)[:-keep]:
        path.unlink(missing_ok=True)


def sha256(path: Path) -> str:
    """The file's digest, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
