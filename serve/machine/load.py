"""How busy this machine is with other work: a speed that was measured beside it is not the machine's own."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wgan.serve.machine.cores import control_groups, usable_cores

SHORTEST = 0.5  # seconds: the kernel counts in ticks of 10 ms, too few of them in a shorter span
LIMIT = 0.1  # of the usable cores: other work beyond it slows down what is measured
_UNITS = {"throttled_usec": 1e-6, "throttled_time": 1e-9}  # of cpu.stat, version 2 and 1 of control groups


@dataclass(frozen=True)
class Load:
    """What others took of this machine in a span of time, in cores; None is what is not known here."""

    others: float | None = None  # busy with other work, of the cores that this process may be scheduled on
    limit: float | None = None  # of `others` and `steal`: beyond it they slow this process down
    steal: float | None = None  # what the host of a virtual machine gave to others
    throttled: float | None = None  # what the quota of this process's control group held back
    pressure: float | None = None  # the share of the span in which a thread, of whomever, waited for a core

    def to_dict(self) -> dict[str, Any]:
        """As the keys of a measured row."""
        return {
            "load_others": self.others,
            "load_limit": self.limit,
            "steal": self.steal,
            "throttled": self.throttled,
            "cpu_pressure": self.pressure,
        }


def worst(row: dict[str, Any], load: Load) -> dict[str, Any]:
    """The row with the higher of each of its own figures and the load's; what only one of them knows counts."""
    pairs = {key: (row.get(key), value) for key, value in load.to_dict().items()}
    return row | {key: max((v for v in pair if v is not None), default=None) for key, pair in pairs.items()}


@dataclass(frozen=True)
class _Reading:
    at: float
    own: float
    ticks: dict[int, tuple[int, int, int]]  # by core: busy, idle, stolen
    throttled: dict[str, float]  # seconds by control group
    waited: float | None


class Watch:
    """Watches from now on; `load` says what was seen. Where the system does not tell, all of it is None.

    Args:
        own: the CPU seconds of what is measured, which are not other work; by default those of this process.
        clock: seconds.
        root: of the file system with proc/ and sys/.
    """

    def __init__(
        self,
        own: Callable[[], float] = time.process_time,
        clock: Callable[[], float] = time.perf_counter,
        root: Path = Path("/"),
    ):
        self._own, self._clock, self._root = own, clock, root
        self._before = self._read()

    def load(self) -> Load:
        """What others took since this was made; all None within `SHORTEST` seconds."""
        before, after = self._before, self._read()
        span = after.at - before.at
        if span < SHORTEST:
            return Load()
        cores = before.ticks.keys() & after.ticks.keys()
        ticks = [[after.ticks[core][i] - before.ticks[core][i] for core in cores] for i in range(3)]
        busy, idle, steal = (sum(each) / _tick_rate() for each in ticks)
        held = [
            after.throttled[group] - before.throttled[group] for group in before.throttled if group in after.throttled
        ]
        waited = None if before.waited is None or after.waited is None else (after.waited - before.waited) / span
        throttled = max(held) / span if held else None
        # a sandbox may show a /proc/stat that stands still
        if busy + idle + steal < 0.5 * span * max(1, len(cores)):
            return Load(throttled=throttled, pressure=waited)
        usable = min(usable_cores(self._root), len(cores))
        limit = len(cores) - usable + LIMIT * usable  # cores beyond a quota are for others
        others = max(0.0, busy - (after.own - before.own)) / span
        return Load(others, limit, steal / span, throttled, waited)

    def _read(self) -> _Reading:
        return _Reading(self._clock(), self._own(), _ticks(self._root), _throttled(self._root), _waited(self._root))


def load_average() -> float | None:
    """How many threads ran or waited for a core on average over the last minute; None where that is not counted."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):  # Windows has none
        return None


def own_and_ended_children() -> float:
    """CPU seconds of this process and of the children that it has waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _tick_rate() -> int:
    return os.sysconf("SC_CLK_TCK")


def _ticks(root: Path) -> dict[int, tuple[int, int, int]]:
    """Busy, idle and stolen ticks of each core that this process may be scheduled on."""
    affinity = getattr(os, "sched_getaffinity", None)
    ours = affinity(0) if affinity else None
    found = {}
    try:
        lines = (root / "proc/stat").read_text().splitlines()
        for name, *words in map(str.split, lines):
            if name.startswith("cpu") and name[3:].isdecimal() and (ours is None or int(name[3:]) in ours):
                # man 5 proc: what guests took is part of user and nice
                user, nice, system, idle, iowait, irq, softirq, steal = map(int, words[:8])
                found[int(name[3:])] = user + nice + system + irq + softirq, idle + iowait, steal
    except (OSError, ValueError):
        return {}
    return found


def _throttled(root: Path) -> dict[str, float]:
    found = {}
    for group in control_groups(root):
        try:
            for key, value in map(str.split, (group / "cpu.stat").read_text().splitlines()):
                if key in _UNITS:
                    found[str(group)] = int(value) * _UNITS[key]
        except (OSError, ValueError):
            continue
    return found


def _waited(root: Path) -> float | None:
    """Seconds in which some thread waited for a core (Linux, pressure stall information)."""
    try:
        some = (root / "proc/pressure/cpu").read_text().splitlines()[0]
        return int(some.rpartition("total=")[2]) * 1e-6
    except (OSError, ValueError, IndexError):
        return None
