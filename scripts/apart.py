"""Environments of their own below the user's cache, for what must not be installed beside wgan."""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"


class Missing(Exception):
    """What was asked for is not here, or cannot be had; says why, and what to do."""


def cache() -> Path:
    """The folder in which the environments lie."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wgan"


@dataclass(frozen=True)
class Apart:
    """A folder, and what it holds when it is whole: a text that changes with what is to be installed."""

    folder: Path
    state: str

    @property
    def whole(self) -> bool:
        """Whether all of it is there."""
        with suppress(OSError):
            return (self.folder / "whole").read_text() == self.state
        return False

    def make(self, install: Callable[[], None], *parts: str) -> None:
        """Calls ``install``, which makes ``parts`` of the folder, unless it is whole; one process at a time.

        Raises:
            Missing: it could not be made; then it is not whole.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._locked():
            if self.whole:
                return
            (self.folder / "whole").unlink(missing_ok=True)
            for part in parts:  # of an older state, or of what was cut short
                shutil.rmtree(self.folder / part, ignore_errors=True)
            install()
            (self.folder / "whole").write_text(self.state)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def make_environment(folder: Path) -> list[str]:
    """An empty environment of this Python, and the words of an installer into it. Raises Missing."""
    run(sys.executable, "-m", "venv", "--without-pip", str(folder))
    python = str(folder / "bin" / "python")
    if uv := shutil.which("uv"):
        return [uv, "pip", "install", "-q", "--python", python]
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "-q", "--disable-pip-version-check"]
    return [*pip, "--retries", "1", "--no-compile"]


def run(*command: str) -> None:
    """Runs it. Raises Missing with the last line that it said where it fails."""
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no reason given"]
        raise Missing(f"could not be fetched: {lines[-1]}")
