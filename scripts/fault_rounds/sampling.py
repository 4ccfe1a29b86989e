"""Rounds of `wgan sample --shard-size`: machines of a set of shards, several at a time, into a folder."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from fault_rounds import blow
from fault_rounds.bench import Bench, files, left_over
from fault_rounds.blow import Blow, Reach
from fault_rounds.process import Ended, Order
from fault_rounds.tally import DIFFERING, HALF, LOST, SHARDS, STUCK, WRONG, Tally, differing

ENDINGS = (".tar", ".npy", ".npz")
SHARD, NUMBER = 4, 6  # images in a shard, shards
KINDS = (blow.KILLED, blow.AT_FILE, blow.AT_FILE, blow.IN_WRITE, blow.FULL, blow.INTERRUPTED, blow.TERMINATED)
MACHINES = 3  # at most
BLOWS = 3  # times that a set is begun before it is let go on unbroken, at most


@dataclass(frozen=True)
class Unbroken:
    """A set that nothing befell: its files, and how far the command for it goes."""

    files: dict[str, bytes]
    reach: Reach


class Sampling:
    """Sets of shards in a local folder."""

    name = "sampling"
    kinds: tuple[str, ...] = KINDS

    def __init__(self, bench: Bench):
        self.bench = bench
        self.unbroken: dict[str, Unbroken] = {}

    def whole(self, ending: str) -> Unbroken:
        """The set of this kind that nothing befell, made once."""
        if ending not in self.unbroken:
            folder = self.bench.root / f"unbroken-{self.name}{ending}"
            reach = self.bench.unbroken(self.words(f"out/faces{ending}"), folder)
            self.unbroken[ending] = Unbroken(files(folder / "out"), reach)
        return self.unbroken[ending]

    def words(self, out: str) -> list[str]:
        """Of the command."""
        count = str(SHARD * NUMBER)
        made = ["-n", count, "--shard-size", str(SHARD), "--batch-size", "2", "--out", out]
        return ["sample", "--model", "faces", "--device", "cpu", "--threads", "1", *made]

    def round(self, random: Random, folder: Path) -> Tally:
        """One set, begun and struck several times, then gone on with until it is done; what was found."""
        ending = random.choice(ENDINGS)
        check = Check(self.whole(ending).files, lambda: files(folder / "out"))
        words = self.words(f"out/faces{ending}")
        self.go(random, folder, words, self.whole(ending).reach, check)
        for name in left_over(folder):
            check.tally.fault(HALF, f"{name} stays for good")
        return check.end()

    def go(self, random: Random, folder: Path, words: list[str], reach: Reach, check: "Check") -> None:
        """The machines of one set, each again until it is done."""
        machines = random.randint(1, MACHINES)
        share = Reach(reach.seconds, -(-reach.events // machines), reach.sizes)
        waiting = list(range(1, machines + 1))
        if random.random() < 0.25:
            waiting.append(random.choice(waiting))  # one that is taken for dead and begun again still runs
        for time in range(random.randint(1, BLOWS) + 1):
            last = time == BLOWS
            orders = []
            for machine in waiting:
                struck = None if last or (time and random.random() < 0.3) else self.blow(random, share)
                orders.append(self.bench.order([*words, "--shard", f"{machine}/{machines}"], folder, struck))
            waiting = self._undone(self.play(orders, random, check.tally), waiting, check)
        ended = [self.bench.order([*words, "--shard", f"{machine}/{machines}"], folder) for machine in waiting]
        if ended and self._undone(self.bench.run(ended), waiting, check):
            check.tally.fault(STUCK, f"wgan {' '.join(words)}")

    def play(self, orders: list[Order], random: Random, tally: Tally) -> list[Ended]:
        """Runs them at the same time; what befalls more than one of them is counted."""
        return self.bench.run(orders)

    def blow(self, random: Random, share: Reach) -> Blow:
        """What befalls one machine, of which ``share`` says how far it goes."""
        return share.blow(random, self.kinds)

    def _undone(self, ended: list[Ended], machines: list[int], check: "Check") -> list[int]:
        check.tally.ended(ended)
        check.look()
        return sorted({machine for machine, each in zip(machines, ended, strict=True) if each.code != 0})


class Check:
    """Looks at a set whenever its machines have ended: what has a name is whole, and stays."""

    def __init__(self, wanted: dict[str, bytes], there: Callable[[], dict[str, bytes]]):
        self.tally = Tally()
        self.wanted, self.there = wanted, there
        self._seen: set[str] = set()
        self._told: set[str] = set()

    def look(self) -> None:
        """What is under a name now must be as in the unbroken set; what was there before must be there still."""
        found = self.there()
        for name, content in found.items():
            if name not in self._told and content != self.wanted.get(name):
                self._told.add(name)
                what = WRONG if name in self.wanted and not name.endswith(".json") else HALF
                self.tally.fault(what, f"{name} of {len(content):,} bytes is not that of an unbroken run")
        for name in self._seen - found.keys() - self._told:
            self._told.add(name)
            self.tally.fault(LOST, f"{name} was there")
        self._seen |= found.keys()

    def end(self) -> Tally:
        """After the last: every shard is there, and every byte is that of the unbroken set."""
        found = self.there()
        self.tally.counts[SHARDS] += sum(not name.endswith(".json") for name in self.wanted)
        for name, content in self.wanted.items():
            if name not in found and name not in self._told:
                self.tally.fault(LOST, f"{name} is missing in the end")
            if number := differing(found.get(name, b""), content):
                self.tally.fault(DIFFERING, f"{name}, {number:,} of them", number)
        return self.tally
