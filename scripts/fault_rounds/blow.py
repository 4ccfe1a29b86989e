"""What befalls a process: a signal after some time, its end at a file event or within a write, a full disk.

Every end is the system's: SIGKILL, or SIGXFSZ with its own action at a byte of a file. No line of Python runs after it.
"""

import ctypes
import os
import resource
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

KILLED = "SIGKILL"  # ``at`` seconds after the command began
AT_FILE = "SIGKILL at a file"  # before its ``at``-th file is opened for writing, renamed, linked, made or removed
IN_WRITE = "killed in a write"  # from the ``at``-th file event on, where a file becomes longer than ``length`` bytes
TERMINATED = "SIGTERM"
INTERRUPTED = "SIGINT"
TWICE = "SIGINT twice"
FULL = "disk full"  # from the ``at``-th file event on no file becomes longer than ``length`` bytes
NO_SPACE = "no space left"  # the folder lies on a disk of ``length`` bytes
_SIGNALS = {KILLED: signal.SIGKILL, TERMINATED: signal.SIGTERM, INTERRUPTED: signal.SIGINT, TWICE: signal.SIGINT}
_BETWEEN = 0.02  # seconds from one SIGINT to the next
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_EVENTS = ("os.rename", "os.link", "os.mkdir", "os.remove", "os.rmdir", "os.truncate")


@dataclass(frozen=True)
class Blow:
    """One of these kinds, and when."""

    kind: str
    at: float = 0.0
    length: int = 0

    @property
    def signals(self) -> list[tuple[float, signal.Signals]]:
        """What the process is sent from outside: seconds after it began, and which signal."""
        if self.kind not in _SIGNALS:
            return []
        first = (self.at, _SIGNALS[self.kind])
        return [first, (self.at + _BETWEEN, signal.SIGINT)] if self.kind == TWICE else [first]

    def arm(self, root: Path) -> None:
        """In the process itself: what need not come from outside. ``root``: the folder whose files count."""
        if self.kind not in (AT_FILE, IN_WRITE, FULL):
            return
        count = count_events(root)

        def hook(name: str, arguments: tuple[Any, ...]) -> None:
            if count(name, arguments) == self.at:
                self._strike()

        sys.addaudithook(hook)

    def _strike(self) -> None:
        if self.kind == AT_FILE:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.kind == IN_WRITE:
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            _system_action(signal.SIGXFSZ)  # Python ignores it, and writes then fail
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.length, resource.RLIM_INFINITY))


@dataclass(frozen=True)
class Reach:
    """How far an unbroken command goes, so that a blow can fall anywhere on its way."""

    seconds: float
    events: int
    sizes: tuple[int, ...]  # bytes of its files

    def blow(self, random: Random, kinds: tuple[str, ...]) -> Blow:
        """One of these kinds at a random moment."""
        kind = random.choice(kinds)
        if kind in (AT_FILE, IN_WRITE, FULL):
            return Blow(kind, random.randint(1, max(1, self.events)), random.randrange(random.choice(self.sizes)))
        return Blow(kind, random.uniform(0, self.seconds))


def _system_action(number: signal.Signals) -> None:
    """As the system has it; from any thread, where Python's own `signal` is for the main one alone."""
    library = ctypes.CDLL(None)
    library.signal.argtypes, library.signal.restype = [ctypes.c_int, ctypes.c_void_p], ctypes.c_void_p
    library.signal(number, None)  # SIG_DFL


def count_events(root: Path) -> Callable[[str, tuple[Any, ...]], int]:
    """Takes Python's audit events; returns which event of a file below ``root`` it is, from 1, or 0 for any other."""
    folder, seen = os.fsencode(root), 0

    def count(name: str, arguments: tuple[Any, ...]) -> int:
        nonlocal seen
        if name == "open":
            path, flags = arguments[0], arguments[2]
            if not isinstance(flags, int) or not flags & _WRITES:
                return 0
        elif name in _EVENTS:
            path = arguments[0]
        else:
            return 0
        if not isinstance(path, str | bytes) or not os.fsencode(os.path.abspath(path)).startswith(folder):  # noqa: PTH100
            return 0
        seen += 1
        return seen

    return count
