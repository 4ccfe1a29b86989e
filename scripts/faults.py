"""Kills what samples and trains, at random, and counts what that costs: nothing must be lost, half or different.

    python scripts/faults.py                                    # 120 rounds, some minutes
    python scripts/faults.py --only training --rounds 10        # one kind of round alone
    python scripts/faults.py --only sampling --seed 17 --rounds 1   # a round that failed, by its number

Each round begins a command, strikes it, runs the same command again until it is done, and holds what is there against
a run that nothing befell. Exit code 0: all that must be 0 is; 1: something is not. See docs/faults.md.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from typing import Protocol

from bench_shared import machine, say, table, whole
from fault_rounds.bench import Bench
from fault_rounds.disk import may_mount
from fault_rounds.fleet import Fleet
from fault_rounds.mirror import Mirror
from fault_rounds.process import forks
from fault_rounds.sampling import Sampling
from fault_rounds.store import Store
from fault_rounds.tally import COUNTED, MUST_BE_0, Tally
from fault_rounds.training import Training


class Rounds(Protocol):
    """One kind of round."""

    name: str

    def __init__(self, bench: Bench): ...

    def round(self, random: Random, folder: Path) -> Tally:
        """Plays one round in an empty folder; what was found."""


KINDS: dict[str, type[Rounds]] = {
    "sampling": Sampling,
    "training": Training,
    "store": Store,
    "mirror": Mirror,
    "ray": Fleet,
}
ROUNDS, MINUTES = 120, 30
SHOWN = 5  # faults of a round that are told


def play(kinds: list[Rounds], bench: Bench, first: int, rounds: int, minutes: float) -> Tally:
    """Plays the rounds ``first`` …, one of each kind after the other, as long as the time lasts."""
    total, until = Tally(), time.monotonic() + 60 * minutes
    for done in range(rounds):
        if time.monotonic() > until:
            say(f"faults: {minutes:g} minutes are over after {done} of {rounds} rounds")
            break
        kind, number = kinds[done % len(kinds)], first + done
        with bench.folder(f"{kind.name}-{number}") as folder:
            found = kind.round(Random(f"{kind.name} {number}"), folder)
        found.rounds[kind.name] += 1
        total.add(found)
        kills = ", ".join(f"{name} {count}" if count > 1 else name for name, count in sorted(found.kills.items()))
        verdict = "" if found.clean else ": FAULT"
        say(f"faults: {done + 1}/{rounds} {kind.name} {number}: {kills or 'nothing met'}{verdict}")
        for line in found.faults[:SHOWN]:
            say(f"  {line}")
        if not found.clean:
            say(f"  again: python scripts/faults.py --only {kind.name} --seed {number} --rounds 1")
    return total


def show(total: Tally) -> str:
    """The tables."""
    kills = [*sorted(total.kills.items()), ("all", total.kills.total())]
    numbers = [("rounds", total.rounds.total()), *((name, total.counts[name]) for name in COUNTED)]
    faults = [(name, total.counts[name]) for name in MUST_BE_0]
    parts = [table(("kills", "number"), [(name, f"{count:,}") for name, count in kills])]
    parts.append(table(("counted", "number"), [(name, f"{count:,}") for name, count in numbers], "what was played"))
    parts.append(table(("counted", "number"), [(name, f"{count:,}") for name, count in faults], "what must be 0"))
    return "\n".join(parts)


def some(text: str) -> list[str]:
    """An argument's type: kinds of rounds, set apart by commas."""
    words = [word.strip() for word in text.split(",")]
    if unknown := [word for word in words if word not in KINDS]:
        raise argparse.ArgumentTypeError(f"{unknown[0]} is not one of {', '.join(KINDS)}")
    return list(dict.fromkeys(words))


def main() -> int:
    """Plays, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=some, default=list(KINDS), help=f"of {','.join(KINDS)}")
    parser.add_argument("--rounds", type=whole(1), default=ROUNDS, help=f"[default: {ROUNDS}]")
    parser.add_argument(
        "--minutes", type=float, default=MINUTES, help=f"no round begins after them [default: {MINUTES}]"
    )
    parser.add_argument("--seed", type=whole(0), default=0, help="number of the first round [default: 0]")
    wanted = parser.parse_args()
    began = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="wgan-faults-") as root:
            mounts = may_mount()  # before the server of forks is there, which is to see the same disks
            say(f"faults: a full disk is {'a small one' if mounts else 'a limit of file sizes: none can be mounted'}")
            bench = Bench(forks(), Path(root).resolve(), mounts=mounts)
            with bench.held:
                total = play(
                    [KINDS[name](bench) for name in wanted.only], bench, wanted.seed, wanted.rounds, wanted.minutes
                )
    except KeyboardInterrupt:
        return 130
    print(show(total))
    seconds = round(time.monotonic() - began, 1)
    print(json.dumps({"seed": wanted.seed, **total.to_dict(), "seconds": seconds, "machine": machine()}), flush=True)
    return 0 if total.clean else 1


if __name__ == "__main__":
    sys.exit(main())
