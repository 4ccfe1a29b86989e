"""What rounds found, in numbers that are to be 0, and a line for each fault."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

import numpy as np

from fault_rounds.process import Ended

LOST, WRONG = "shards lost", "shards wrong"
CHECKPOINTS_LOST, DIFFERING, HALF = "checkpoints lost", "bytes differing", "files half"
STUCK, UNTOLD = "could not go on", "ended without a line"
MUST_BE_0 = (LOST, WRONG, CHECKPOINTS_LOST, DIFFERING, HALF, STUCK, UNTOLD)
SHARDS, CHECKPOINTS, COMMANDS = "shards", "checkpoints", "commands"
GAVE_UP, BROKEN = "gave up on the store", "requests broken"
COUNTED = (COMMANDS, SHARDS, CHECKPOINTS, GAVE_UP, BROKEN)


@dataclass
class Tally:
    """Of one round or of many."""

    rounds: Counter[str] = field(default_factory=Counter)
    kills: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def fault(self, what: str, line: str, number: int = 1) -> None:
        """``number`` more of ``what``, and why."""
        self.counts[what] += number
        self.faults.append(f"{what}: {line}")

    def ended(self, commands: Iterable[Ended]) -> None:
        """Counts the blows that were met; a command that nothing befell must have been done."""
        for each in commands:
            self.counts[COMMANDS] += 1
            words = " ".join(each.order.words[:2])
            if "Traceback" in each.said:
                self.fault(UNTOLD, f"{each.struck}, wgan {words} …: {each.last_line}")
            if each.hung:
                self.fault(STUCK, f"wgan {words} … did not end: {each.last_line}")
            elif each.struck is not None:
                self.kills[each.struck] += 1
            elif each.gave_up:
                self.counts[GAVE_UP] += 1
            elif each.code != 0:
                self.fault(STUCK, f"wgan {words} … ended with {each.code}: {each.last_line}")

    def add(self, other: "Tally") -> None:
        """Takes in what another counted."""
        self.rounds.update(other.rounds)
        self.kills.update(other.kills)
        self.counts.update(other.counts)
        self.faults += other.faults

    @property
    def clean(self) -> bool:
        """Whether all that must be 0 is."""
        return not any(self.counts[name] for name in MUST_BE_0)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        numbers = {name.replace(" ", "_"): self.counts[name] for name in (*COUNTED, *MUST_BE_0)}
        kills: Mapping[str, int] = dict(sorted(self.kills.items()))
        return {"rounds": dict(self.rounds), "kills": self.kills.total(), "kills_by_kind": kills, **numbers}


def differing(found: bytes, wanted: bytes) -> int:
    """How many bytes differ, those that one of the two has more among them."""
    common = min(len(found), len(wanted))
    a, b = (np.frombuffer(each, np.uint8, common) for each in (found, wanted))
    return int(np.count_nonzero(a != b)) + abs(len(found) - len(wanted))


def lines_differing(found: list[str], wanted: list[str]) -> int:
    """The same of lines, each beside the one of its number."""
    pairs = zip_longest(found, wanted, fillvalue="")
    return sum(differing(a.encode(), b.encode()) for a, b in pairs)
