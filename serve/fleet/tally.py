"""What a fleet has done, counted; and when so much was lost that going on makes no sense."""

from dataclasses import dataclass, field
from typing import Any

from wgan.serve.base.errors import BackendError
from wgan.serve.base.terminal import counted
from wgan.serve.fleet.schedule import Schedule

MOST_LOST = 20  # attempts one after the other, or four for each slot where that is more


@dataclass
class Tally:
    """What was asked for, and what has been done so far. ``total`` and ``images`` are images."""

    total: int
    images: int = 0
    shards: int = 0
    attempts: int = 0
    retries: int = 0  # attempts that were lost, and whose shards others made
    copies: int = 0  # second attempts at slow shards
    nodes: set[str] = field(default_factory=set)
    workers: set[tuple[str, int]] = field(default_factory=set)

    def add(self, found: dict[str, Any]) -> list[str]:
        """Counts a whole shard, as a worker answered; returns the lines that it has for people."""
        self.images += found["count"]
        self.shards += 1
        self.nodes.add(found["node"])
        self.workers.add((found["node"], found["process"]))
        return [f"{found['where']}: {line}" for line in found["said"]]

    def count(self, schedule: Schedule) -> None:
        """Takes the numbers of attempts over."""
        self.attempts, self.retries, self.copies = schedule.attempts, schedule.lost_attempts, schedule.copied

    def to_json(self) -> dict[str, int]:
        """For `--json`."""
        counts = {"attempts": self.attempts, "retries": self.retries, "copies": self.copies}
        return {"nodes": len(self.nodes), "workers": len(self.workers), **counts}

    def __str__(self) -> str:
        parts = [counted(len(self.nodes), "node"), counted(len(self.workers), "worker")]
        return ", ".join(parts + [f"{counted(self.retries, 'lost attempt')} made again"] * (self.retries > 0))


class Losses:
    """Attempts that ended with their worker or node, one after the other. No number of them is too many on its own."""

    def __init__(self) -> None:
        self._number = 0

    def clear(self) -> None:
        """A shard became whole."""
        self._number = 0

    def add(self, lost: Exception, slots: int) -> None:
        """One more. Raises BackendError where workers do nothing but end: what is wrong is not their machines."""
        self._number += 1
        if self._number > max(MOST_LOST, 4 * slots):
            raise BackendError(
                f"{counted(self._number, 'attempt')} in a row ended with their workers, and no shard became whole "
                f"({lost}): see Ray's logs on the nodes; where memory runs out, start fewer workers with --threads"
            )
