"""Checkpoints: everything a run needs to go on, and the generator to export. Never unpickled code."""

import errno
import hashlib
import os
import re
import reprlib
import shutil
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from wgan.serve.backends.memory import SIGNS
from wgan.serve.base.command import command
from wgan.serve.base.errors import CheckpointError, OutputError
from wgan.serve.base.files import atomic_path, writing

# Raised only where an earlier file cannot be gone on with: a key more has a default where it is read, and a key less is
# not read. 1 was of networks without options, and of no release.
SCHEMA = 2
_NAME = re.compile(r"step-(\d+)\.pt")
BEST = "best.pt"
Seen = TypeVar("Seen")


class DamagedCheckpoint(CheckpointError):
    """A file that is not whole, or no checkpoint at all."""


@dataclass(frozen=True)
class Loaded:
    """A whole checkpoint, and the newer files that were passed over because they are not."""

    path: Path
    state: dict[str, Any]
    damaged: tuple[Path, ...] = ()

    def told(self, doing: str, done: str = "") -> list[str]:
        """A line for each file that was passed over: what is ``done`` with it, and ``doing`` with this one instead."""
        if not self.damaged and self.path.name == BEST:
            return [f"{self.path.parent} has no step-*.pt: {doing} {self.path}"]
        return [f"{path} is damaged: {done}{doing} {self.path}" for path in self.damaged]


def save(path: Path, state: dict[str, Any]) -> None:
    """Writes ``state`` (tensors, numbers, text, dicts, lists) whole or not at all.

    Raises:
        OutputError: the disk is full or the folder cannot be written; earlier checkpoints stay.
    """
    with atomic_path(path) as temporary:
        try:
            # into an open file: given a path, torch writes the temporary name, and so this host's, into it
            with temporary.open("wb") as file:
                torch.save({"schema": SCHEMA, **state}, file)
        except RuntimeError as error:  # what torch makes of a failed write, without the reason
            raise OutputError(
                f"cannot write {path}: the disk is full or refuses to write; free some space, "
                "what was saved before is whole"
            ) from error


def load(path: Path) -> dict[str, Any]:
    """The state that `save` wrote, on the CPU.

    Raises:
        DamagedCheckpoint: truncated, changed since it was written, or not ours.
        CheckpointError: missing, of another schema, or the system cannot read it now.
    """
    return _load(path, lambda file: None)[0]


def peek(path: Path) -> dict[str, Any] | None:
    """The state in a file, its tensors left on disk and unchecked: for the numbers beside them. None: unreadable."""
    with suppress(Exception):  # foreign bytes lead the reader into whatever error they like
        state = torch.load(str(path), map_location="cpu", weights_only=True, mmap=True)
        return state if isinstance(state, dict) and isinstance(state.get("step"), int) else None
    return None


def load_with_sha256(path: Path) -> tuple[dict[str, Any], str]:
    """`load`, and the digest of the bytes that were loaded: a run may replace the file meanwhile."""
    return _load(path, lambda file: hashlib.file_digest(file, "sha256").hexdigest())


def _load(path: Path, look: Callable[[BufferedReader], Seen]) -> tuple[dict[str, Any], Seen]:
    """The state in a file, and what ``look`` reads from the same open file, even if it has been replaced by then."""
    try:
        with path.open("rb") as file:
            with zipfile.ZipFile(file) as archive:
                whole = archive.testzip() is None  # torch reads a flipped bit as another weight
            file.seek(0)
            state = torch.load(file, map_location="cpu", weights_only=True) if whole else None
            file.seek(0)
            seen = look(file)
    except FileNotFoundError:
        raise CheckpointError(f"no checkpoint {path}") from None
    except Exception as error:  # foreign bytes lead the reader into whatever error they like
        if reason := _of_the_system(error):
            raise CheckpointError(f"cannot read {path}: {reason}; mend that and try again") from None
        whole = False
    if not whole:
        raise DamagedCheckpoint(f"{path} is damaged or no checkpoint of wgan: use another one")
    if not isinstance(state, dict) or not isinstance(state.get("schema"), int):
        raise DamagedCheckpoint(f"{path} is no checkpoint of wgan")
    shown = reprlib.repr(state["schema"])  # of any length
    if state["schema"] < SCHEMA:
        raise CheckpointError(f"{path} was written by an earlier wgan (schema {shown}): train again")
    if state["schema"] > SCHEMA:
        raise CheckpointError(f"{path} was written by a newer wgan (schema {shown}): update wgan")
    return state, seen


def _of_the_system(error: Exception) -> str | None:
    """The reason if the machine failed to read a file that may be whole; None if the file itself is at fault."""
    if isinstance(error, MemoryError) or SIGNS.search(str(error)):
        return "not enough memory"
    if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):  # EINVAL: sent to an impossible place
        return error.strerror or str(error)
    return None


def difference(module: nn.Module, weights: Mapping[str, Tensor]) -> str | None:
    """The first of ``weights`` that is not one of ``module``, in words; None where they fit."""
    own = module.state_dict()
    for key in (*own, *weights):
        pair = (side.get(key) for side in (own, weights))
        here, there = ("×".join(map(str, x.shape)) or "()" if isinstance(x, Tensor) else None for x in pair)
        if here != there:
            return f"{key} is {there or 'not there'} in it and {here or 'not there'} in this run"
    return None


def check_fits(name: str, module: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Refuses weights of another network than ``module``.

    Raises:
        CheckpointError: names the first weight that differs.
    """
    if differs := difference(module, weights):
        raise CheckpointError(
            f"the checkpoint's {name} is of another configuration: {differs}: "
            "go on with the settings that it was trained with"
        )


def list_steps(folder: Path) -> list[Path]:
    """The run's `step-*.pt`, oldest first."""
    numbered = [(int(match[1]), path) for path in folder.glob("step-*.pt") if (match := _NAME.fullmatch(path.name))]
    return [path for _, path in sorted(numbered)]


def step_path(folder: Path, step: int) -> Path:
    """Where the checkpoint after ``step`` generator updates goes."""
    return folder / f"step-{step:08d}.pt"


def load_last(folder: Path) -> Loaded:
    """The newest whole checkpoint, `best.pt` where no step file is whole.

    Raises:
        CheckpointError: there is none, or the newest is of another schema.
    """
    damaged: list[Path] = []
    for path in [*reversed(list_steps(folder)), folder / BEST]:
        if not path.is_file():
            continue
        try:
            return Loaded(path, load(path), tuple(damaged))
        except DamagedCheckpoint:
            damaged.append(path)
    reason = f"all {len(damaged)} are damaged" if damaged else "there is none"
    run = folder.parent
    way = f"`{command('train', '--config', run / 'config.yaml')}` is a new run with the same settings"
    if not damaged:
        way = f"`{command('train', '--resume', '--run', run)}` goes on with it"
    if not (run / "config.yaml").is_file():
        way = "name another run with --run"
    raise CheckpointError(f"no whole checkpoint in {folder} ({reason}): {way}")


def load_best(folder: Path) -> dict[str, Any] | None:
    """The state in `best.pt`; None where that is missing or damaged."""
    path = folder / BEST
    with suppress(DamagedCheckpoint):
        return load(path) if path.is_file() else None
    return None


def find(run: Path, which: str, say: Callable[[str], object]) -> Path:
    """The file that `--checkpoint best|last|FILE` means; ``say`` takes a line where it is not the first choice.

    Raises:
        CheckpointError: there is none.
    """
    folder = run / "checkpoints"
    if which not in ("best", "last"):
        if not Path(which).is_file():
            raise CheckpointError(f"no checkpoint {which!r}: say best, last or a file")
        return Path(which)
    if which == "best" and (folder / BEST).is_file():
        return folder / BEST
    newest = load_last(folder)
    for line in newest.told("taking"):
        say(line)
    if which == "best":
        say(f"{run} has no {BEST}: taking {newest.path.name}")
    return newest.path


def mark_best(path: Path) -> None:
    """Makes ``path`` the folder's `best.pt`: the same bytes, kept when the step file is pruned."""
    with atomic_path(path.with_name(BEST)) as temporary:
        try:
            os.link(path, temporary)
        except OSError:  # a file system without hard links
            shutil.copyfile(path, temporary)


def mark_missed(path: Path) -> None:
    """Restores `best.pt` from the step file of the best, if that file is whole and `best.pt` is another or missing.

    A process that was killed, or a full disk, may have come between the two.
    """
    best = path.with_name(BEST)
    if not path.is_file() or (best.is_file() and (path.samefile(best) or sha256(path) == sha256(best))):
        return
    with suppress(DamagedCheckpoint):
        load(path)
        mark_best(path)


def set_aside(path: Path) -> None:
    """Renames a damaged ``path`` to `….pt.damaged`: not counted, not read again, there for whoever wants to look.

    Raises:
        OutputError: the folder cannot be written.
    """
    with writing(path), suppress(FileNotFoundError):
        path.replace(path.with_name(f"{path.name}.damaged"))


def prune(folder: Path, keep: int, newest: Path) -> None:
    """Removes step files older than ``newest``, just written, and the ``keep`` - 1 before it; not later ones."""
    steps = list_steps(folder)
    for path in steps[: steps.index(newest) + 1][:-keep]:
        path.unlink(missing_ok=True)


def sha256(path: Path) -> str:
    """The file's digest, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
