"""What the processes of a run find of each other: the links between them, their clocks, their versions."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import distributed

from wgan.serve.base.tables import table
from wgan.serve.base.terminal import counted
from wgan.serve.doctor.network import Surroundings
from wgan.serve.doctor.text import gaps_text
from wgan.serve.machine.requirements import Gap
from wgan.training.distributed.alike import differences, versions
from wgan.training.distributed.world import World

SMALL, LARGE = 1, 2**22  # float32 numbers of a message: for the latency, and 16 MiB for the throughput
TIMES, FEW = 20, 3  # messages of each
APART = 5.0  # seconds between two clocks: torchrun by itself bears 15
SLOW = 4  # a link that carries a quarter of the best is named


@dataclass(frozen=True)
class Link:
    """A process as the first one finds it."""

    rank: int
    host: str
    interface: str | None  # that leads to MASTER_ADDR
    latency: float | None  # seconds for a number to come; None for the first itself
    throughput: float | None  # bytes a second, one way
    ahead: float  # seconds that its clock is ahead of the first's


@dataclass(frozen=True)
class Joined:
    """What all processes found together."""

    device: str  # where the sums were made
    latency: float  # seconds of an all-reduce of one number
    throughput: float  # bytes of an all-reduce a second, of 16 MiB
    links: tuple[Link, ...]
    troubles: tuple[Gap, ...]

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)

    def to_text(self) -> str:
        """For people."""
        rows = [
            (
                str(link.rank),
                link.host,
                link.interface or "-",
                "-" if link.latency is None else f"{1e3 * link.latency:.2f}",
                "-" if link.throughput is None else f"{link.throughput / 1e6:,.0f}",
                "-" if link.latency is None else f"{link.ahead:+.1f}",
            )
            for link in self.links
        ]
        head = ("process", "machine", "interface", "ms", "MB/s", "clock, s")
        by = "NCCL" if self.device == "cuda" else "gloo"
        what = f"{counted(len(rows), 'process', 'processes')}, joined by {by}; an all-reduce of one number takes"
        total = f"{what} {1e3 * self.latency:.2f} ms,\nof 16 MiB {self.throughput / 1e6:,.0f} MB/s"
        listed = table(head, rows, right=("process", "ms", "MB/s", "clock, s"))
        return "\n\n".join([total, listed, *gaps_text("wrong:", self.troubles)])


def probe(world: World, device: torch.device, own: Surroundings) -> Joined:
    """Measures all links, and compares what the processes have. Each of several processes calls it.

    Raises:
        TrainingError: another process was lost meanwhile.
    """
    latency = min(_timed(world, device, SMALL, TIMES))
    throughput = 4 * LARGE / min(_timed(world, device, LARGE, FEW))
    found = [_meet(world, rank) for rank in range(1, world.size)]
    everyone = world.gather(own)
    links = [Link(0, everyone[0].host, everyone[0].towards, None, None, 0.0)]
    if world.rank == 0:
        for rank, (delay, rate, ahead) in enumerate(found, 1):
            links.append(Link(rank, everyone[rank].host, everyone[rank].towards, delay, rate, ahead))
    (links, *_) = world.gather(links)
    wrong = [*_of_each(world, everyone), *_versions(world), *_clocks(world, links), *_slow(world, links)]
    return Joined(device.type, latency, throughput, tuple(links), tuple(wrong))


def _timed(world: World, device: torch.device, count: int, times: int) -> list[float]:
    """Seconds of all-reduces of ``count`` numbers."""
    values, taken = torch.zeros(count, device=device), []
    for number in range(times + 1):
        world.wait()
        began = time.perf_counter()
        world.total(values).sum().item()  # until the device has it
        if number:  # the first makes the connections
            taken.append(time.perf_counter() - began)
    return taken


def _meet(world: World, rank: int) -> tuple[float, float, float]:
    """The first process and this one send each other messages: delay, bytes a second, and how far its clock is ahead.

    The figures are the first's; the others' mean nothing.
    """
    if world.rank not in (0, rank):
        return 0.0, 0.0, 0.0
    other, clocks = rank if world.rank == 0 else 0, []

    def turn(message: torch.Tensor, answer: Callable[[], torch.Tensor]) -> float:
        """Seconds until the answer is there; of the one that answers nothing."""
        began = time.perf_counter()
        if world.rank == 0:
            distributed.send(message, other)
            distributed.recv(message, other)
        else:
            distributed.recv(message, other)
            distributed.send(answer(), other)
        return time.perf_counter() - began

    trips = []
    for _ in range(TIMES):
        stamp, before = torch.zeros(SMALL, dtype=torch.float64), time.time()
        trips.append(turn(stamp, lambda: torch.tensor([time.time()], dtype=torch.float64)))
        clocks.append(stamp.item() - (before + time.time()) / 2)
    large = torch.zeros(LARGE)
    rate = 8 * LARGE / min(turn(large, lambda: large) for _ in range(FEW))  # there and back
    return min(trips) / 2, rate, sorted(clocks)[len(clocks) // 2]


def _of_each(world: World, everyone: Sequence[Surroundings]) -> list[Gap]:
    """What each machine has found of itself, once a machine."""
    several = len({own.host for own in everyone}) > 1
    wrong = [
        Gap(f"{own.host}: {gap.why}", gap.fix)
        for own in everyone
        for gap in own.troubles
        if several or "_IFNAME=" in gap.why  # on one machine its name is found by all
    ]
    return list(dict.fromkeys(wrong))


def _versions(world: World) -> list[Gap]:
    apart = differences(world, versions())
    return [
        Gap(f"{world.who(rank)} has {told}", "install the same packages on every machine")
        for rank, told in apart.items()
    ]


def _clocks(world: World, links: Sequence[Link]) -> list[Gap]:
    """Clocks that torchrun does not bear: its c10d rendezvous compares the times that machines write into it."""
    wrong = []
    for link in links:
        apart = abs(link.ahead)
        if apart > APART:
            way = "ahead of" if link.ahead > 0 else "behind"
            why = f"the clock of {world.who(link.rank)} is {apart:,.0f} s {way} process 0's"
            harm = "torchrun takes a machine for lost whose clock is 15 s behind another's"
            enough = 3 + math.ceil(apart / 5)
            mend = f"set the clocks by NTP, or torchrun --rdzv-conf keep_alive_max_attempt={enough} …"
            wrong.append(Gap(f"{why}: {harm}", mend))
    return wrong


def _slow(world: World, links: Sequence[Link]) -> list[Gap]:
    """Machines that are reached at far less than the best of the others."""
    others = {link.rank: link.throughput for link in links if link.throughput and link.host != links[0].host}
    best = max(others.values(), default=0.0)
    return [
        Gap(
            f"{world.who(rank)} is reached at {rate / 1e6:,.0f} MB/s, another machine at {best / 1e6:,.0f}",
            f"GLOO_SOCKET_IFNAME and NCCL_SOCKET_IFNAME there: not {links[rank].interface or 'this interface'}",
        )
        for rank, rate in others.items()
        if SLOW * rate < best
    ]
