"""Rounds of `wgan sample --ray`: nodes, workers and the driver die, on a cluster of small nodes of this machine."""

import os
import signal
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from fault_rounds import blow
from fault_rounds.bench import Bench, files, left_over
from fault_rounds.sampling import Check, Sampling
from fault_rounds.tally import HALF, STUCK, Tally

NODE, WORKER = "node killed", "worker killed"
STORE = 80 * 2**20  # bytes of a node's object store: the least that Ray takes is 75 MiB
SHARD, NUMBER, BATCH = 8, 24, 8
BLOWS = 2  # times that a set is begun before it is let go on unbroken, at most
EVENTS = 3  # nodes and workers that die in one start, at most
WORKERS = (b"ray::attempt", b"ray::IDLE")  # not a node's own agents, with which Ray takes the whole node down
PATIENCE = 20.0  # seconds in which what a driver left running has ended


class Fleet(Sampling):
    """Sets of shards by a cluster."""

    name = "ray"
    kinds = (blow.KILLED, blow.KILLED, blow.TERMINATED, blow.INTERRUPTED)

    def __init__(self, bench: Bench):
        super().__init__(bench)
        self.nodes = Nodes(bench)
        self._seconds = 0.0

    def words(self, out: str) -> list[str]:
        """Of the command, without its cluster."""
        made = ["-n", str(SHARD * NUMBER), "--shard-size", str(SHARD), "--batch-size", str(BATCH), "--out", out]
        return ["sample", "--model", "faces", "--device", "cpu", "--threads", "1", *made]

    def round(self, random: Random, folder: Path) -> Tally:
        """One set, begun and struck, then gone on with until it is done."""
        check = Check(self.whole(".tar").files, lambda: files(folder / "out"))
        words = [*self.words("out/faces.tar"), "--ray", self.nodes.address]
        seconds = self._measured(words)
        done = False
        for start in range(random.randint(1, BLOWS) + 1):
            self.nodes.fill()
            last = start == BLOWS
            struck = (
                None
                if last or random.random() < 0.4
                else blow.Blow(random.choice(self.kinds), random.uniform(0, seconds))
            )
            deaths = Deaths(self.nodes, random, 0 if last else random.randint(0, EVENTS), seconds)
            ended = self.bench.run([self.bench.order(words, folder, struck)], deaths)
            check.tally.ended(ended)
            check.tally.kills.update(deaths.kills)
            check.look()
            if done := ended[0].code == 0:
                break
        if not done:
            self.nodes.fill()
            ended = self.bench.run([self.bench.order(words, folder)])
            check.tally.ended(ended)
            if ended[0].code != 0:
                check.tally.fault(STUCK, f"wgan {' '.join(words)}")
        until = time.monotonic() + PATIENCE
        while (left := left_over(folder)) and time.monotonic() < until:
            time.sleep(0.2)
        for name in left:
            check.tally.fault(HALF, f"{name} stays for good")
        return check.end()

    def _measured(self, words: list[str]) -> float:
        """Seconds of a start that nothing befalls, on warm nodes."""
        for name in () if self._seconds else ("cold", "warm"):
            self._seconds = self.bench.unbroken(words, self.bench.root / f"unbroken-nodes-{name}").seconds
        return self._seconds


class Nodes:
    """A cluster of two nodes of one core each: the second one dies, and another takes its place."""

    def __init__(self, bench: Bench):
        folder = bench.held.enter_context(TemporaryDirectory(prefix="ray"))  # sockets want a short name
        # a place of its own, so that no other program's `--ray auto` finds it
        os.environ.update({"RAY_USAGE_STATS_ENABLED": "0", "RAY_TMPDIR": folder})
        from ray.cluster_utils import Cluster

        self._small: dict[str, Any] = {"num_cpus": 1, "object_store_memory": STORE}
        self._cluster = Cluster(initialize_head=True, head_node_args={"include_dashboard": False, **self._small})
        bench.held.callback(self._cluster.shutdown)
        self._second: Any = None
        self.address: str = self._cluster.address

    def fill(self) -> None:
        """Begins the second node where there is none."""
        if self._second is None:
            self._second = self._cluster.add_node(**self._small)

    def kill_node(self) -> bool:
        """Takes the second away as a power cut does; False where there is none."""
        if self._second is None:
            return False
        self._cluster.remove_node(self._second, allow_graceful=False)
        self._second = None
        return True

    def kill_worker(self, random: Random) -> bool:
        """SIGKILL for a worker of any node; False where none runs."""
        nodes = [self._cluster.head_node, *([] if self._second is None else [self._second])]
        homes = {node.all_processes["raylet"][0].process.pid for node in nodes}
        workers = [pid for pid, parent, command in _processes() if parent in homes and command.startswith(WORKERS)]
        if not workers:
            return False
        with suppress(ProcessLookupError):
            os.kill(random.choice(workers), signal.SIGKILL)
        return True


class Deaths:
    """Nodes and workers that die while a driver runs, at random moments."""

    def __init__(self, nodes: Nodes, random: Random, number: int, seconds: float):
        self.kills = Counter[str]()
        self._nodes, self._random, self._began = nodes, random, time.monotonic()
        kinds = [random.choice((NODE, WORKER, WORKER)) for _ in range(number)]
        self._due = sorted((random.uniform(0, seconds), kind) for kind in kinds)

    def __call__(self, processes: Sequence[BaseProcess]) -> None:
        """Called again and again while the driver runs."""
        while self._due and time.monotonic() - self._began > self._due[0][0]:
            _, kind = self._due.pop(0)
            if self._nodes.kill_node() if kind == NODE else self._nodes.kill_worker(self._random):
                self.kills[kind] += 1


def _processes() -> list[tuple[int, int, bytes]]:
    """Every process of this machine: its id, its parent's, its command line."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):
            parent = int((place / "stat").read_text().rpartition(")")[2].split()[1])
            found.append((int(place.name), parent, (place / "cmdline").read_bytes()))
    return found
