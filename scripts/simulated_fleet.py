"""A fleet that makes a set of shards, simulated: nodes of unequal speed that die, come back, slow down and hang.

Discrete events over seeded worlds, with no cluster and no clock. What a node does does not depend on what it is given:
the same world can be gone through by several policies, and holds the ideal that none of them can beat. Which shard a
node is given is decided by the code that a real fleet runs, `wgan.serve.fleet.schedule`.
"""

import heapq
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from wgan.serve.fleet.schedule import Attempt, Schedule

LOOK = 1.0  # seconds after which a driver asks again what a node without work could do


@dataclass(frozen=True)
class Weather:
    """What nodes meet, in seconds; means of exponential distributions. None: it never happens."""

    spread: float = 0.1  # standard deviation of the logarithm of a node's speed
    life: float | None = None  # until it dies
    away: float = 600.0  # until it is back
    notice: float = 30.0  # until the driver knows that it died: no mean, always as long
    calm: float | None = None  # until it slows down
    spell: float = 600.0  # until it is as fast as before
    slower: tuple[float, float] = (2.0, 20.0)  # how many times, the logarithm even between these
    flow: float | None = None  # until it hangs: alive, and doing nothing
    hang: float = 1800.0  # until it does something again
    opening: float = 3.0  # no mean: a worker that starts or was cancelled opens the artifact


@dataclass(frozen=True)
class Fleet:
    """How large the run is."""

    shards: int = 10_000
    nodes: int = 100
    seconds: float = 100.0  # a shard on a node of speed 1


@dataclass
class Node:
    """One node's speed over time: 0 while it is away, and what was done meanwhile is lost."""

    weather: Weather
    chance: random.Random
    usual: float = field(init=False)
    # from when on, how fast; and the work done by then that a node never given anything else could have done
    spans: list[tuple[float, float, float]] = field(init=False)

    def __post_init__(self) -> None:
        self.usual = math.exp(self.chance.gauss(0.0, self.weather.spread))
        self.spans = [(0.0, self.usual, 0.0)]
        self._coming, self._at = self._life(), 0

    def _life(self) -> Iterator[tuple[float, float]]:
        """(how long the speed before lasts, the next speed), without an end."""
        weather, chance = self.weather, self.chance
        while True:
            means = (weather.life, weather.calm, weather.flow)
            until = [math.inf if mean is None else chance.expovariate(1 / mean) for mean in means]
            first = min(until)
            if math.isinf(first):
                yield math.inf, self.usual
                continue
            if first == until[0]:
                yield first, 0.0
                yield chance.expovariate(1 / weather.away), self.usual
            elif first == until[1]:
                times = math.exp(chance.uniform(*map(math.log, weather.slower)))
                yield first, self.usual / times
                yield chance.expovariate(1 / weather.spell), self.usual
            else:
                yield first, self.usual * 1e-9
                yield chance.expovariate(1 / weather.hang), self.usual

    def _span(self, index: int) -> tuple[float, float, float]:
        """(from, to, speed) of the span of this number."""
        while len(self.spans) <= index + 1:
            start, speed, done = self.spans[-1]
            lasts, after = next(self._coming)
            self.spans.append((start + lasts, after, done + (lasts * speed if speed else 0.0)))
        return self.spans[index][0], self.spans[index + 1][0], self.spans[index][1]

    def back(self, now: float) -> float:
        """When it can be given something: ``now``, which never goes back, or when it is there again."""
        while (span := self._span(self._at))[1] <= now:
            self._at += 1
        return now if span[2] else span[1]

    def work(self, amount: float, now: float, fresh: bool) -> tuple[bool, float]:
        """(whether it gets through the ``amount``, when that is or when it dies), begun ``now`` that it is there.

        ``fresh``: its worker must open the artifact first.
        """
        index = self._at
        start, end, speed = now, *self._span(index)[1:]
        amount += self.weather.opening * self.usual if fresh else 0.0
        while speed:
            if amount <= speed * (end - start):
                return True, start + amount / speed
            amount -= speed * (end - start)
            index += 1
            start, end, speed = self._span(index)
        return False, start

    def done(self, now: float) -> float:
        """The work that it could have done by then."""
        index = 0
        while self._span(index)[1] <= now:
            index += 1
        start, speed, before = self.spans[index]
        return before + speed * (now - start)


@dataclass(frozen=True)
class Outcome:
    """One run. Seconds; of nodes: summed over all of them."""

    makespan: float
    ideal: float  # work that can be cut anywhere, nothing of it lost, no artifact opened
    attempts: int
    copies: int
    lost: int  # attempts that died with their node
    used: float  # seconds of nodes at work, or hanging
    copied: float  # of these: in attempts that were cancelled as another at their shard had ended

    @property
    def over(self) -> float:
        """How much longer than the ideal, as a share of it."""
        return self.makespan / self.ideal - 1

    @property
    def extra(self) -> float:
        """The share of the nodes' work that was for nothing as another attempt was quicker."""
        return self.copied / self.used


@dataclass
class _Run:
    """The events of one run."""

    fleet: Fleet
    schedule: Schedule
    nodes: list[Node]
    now: float = 0.0
    used: float = 0.0
    copied: float = 0.0

    def __post_init__(self) -> None:
        # when, in which order, what, node, attempt
        self.events: list[tuple[float, int, str, int, Attempt | None]] = []
        self.free = list(range(len(self.nodes)))[::-1]
        self.fresh = set(self.free)  # whose worker has not opened the artifact
        self.at: dict[Attempt, tuple[int, float]] = {}  # node and since when
        self.unnoticed = set[Attempt]()  # that died with their node
        self.looking = False
        self.order = 0

    def tell(self, when: float, what: str, node: int = -1, attempt: Attempt | None = None) -> None:
        self.order += 1
        heapq.heappush(self.events, (when, self.order, what, node, attempt))

    def fill(self) -> None:
        """Gives every free node that is there a shard, as long as there is something to do."""
        idle = []
        while self.free:
            number = self.free.pop()
            node = self.nodes[number]
            if (back := node.back(self.now)) > self.now:
                self.fresh.add(number)
                self.tell(back, "back", number)
                continue
            attempt = self.schedule.start(self.now, 1 + len(self.at) + len(self.unnoticed))
            if attempt is None:
                idle = [number]
                break
            whole, end = node.work(self.fleet.seconds, self.now, number in self.fresh)
            self.fresh.discard(number)
            self.at[attempt] = number, self.now
            self.tell(end, "done" if whole else "died", number, attempt)
        self.free += idle
        if self.free and not self.looking:
            self.looking = True
            self.tell(self.now + LOOK, "look")

    def leave(self, attempt: Attempt) -> tuple[int, float]:
        """The attempt's node works on it no longer; the node, and the seconds that it had."""
        number, since = self.at.pop(attempt)
        self.used += self.now - since
        return number, self.now - since

    def done(self, attempt: Attempt) -> None:
        """Its shard is whole: the node is free, and so is that of another attempt at it."""
        self.free.append(self.leave(attempt)[0])
        for other in self.schedule.done(attempt, self.now):
            self.schedule.dropped(other)
            if other in self.unnoticed:
                self.unnoticed.remove(other)
                continue
            number, had = self.leave(other)
            self.copied += had
            self.fresh.add(number)
            self.free.append(number)

    def died(self, attempt: Attempt) -> None:
        """Its node is away, which the driver does not know yet."""
        number, _ = self.leave(attempt)
        self.fresh.add(number)
        self.unnoticed.add(attempt)
        self.tell(self.now + self.nodes[number].weather.notice, "noticed", number, attempt)
        self.tell(self.nodes[number].back(self.now), "back", number)

    def step(self) -> None:
        """The next event."""
        self.now, _, what, number, attempt = heapq.heappop(self.events)
        if what == "look":
            self.looking = False
        elif what == "back":
            self.free.append(number)
        elif what == "noticed" and attempt in self.unnoticed:
            self.unnoticed.remove(attempt)
            self.schedule.lost(attempt)
        elif attempt in self.at:  # else it was cancelled meanwhile
            (self.done if what == "done" else self.died)(attempt)
        else:
            return
        self.fill()


def simulate(weather: Weather, fleet: Fleet, seed: int, copies: bool) -> Outcome:
    """One run in the world of this ``seed``, without or with second attempts at what is slow."""
    nodes = [Node(weather, random.Random(f"{seed}/{number}")) for number in range(fleet.nodes)]
    schedule = Schedule(range(fleet.shards), copies=copies, ahead=False)
    run = _Run(fleet, schedule, nodes)
    run.fill()
    while not schedule.ended:
        run.step()
    best = ideal(nodes, fleet.shards * fleet.seconds)
    return Outcome(run.now, best, schedule.attempts, schedule.copied, schedule.lost_attempts, run.used, run.copied)


def ideal(nodes: list[Node], work: float) -> float:
    """When these nodes could have done as much ``work``, none of them ever idle."""
    low, high = 0.0, 1.0
    while sum(node.done(high) for node in nodes) < work:
        low, high = high, 2 * high
    while high - low > 1e-6 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if sum(node.done(middle) for node in nodes) < work else (low, middle)
    return high
