"""What the nodes of a simulated fleet meet, and what second attempts at slow shards bring there and cost."""

import statistics
from collections.abc import Sequence

from bench_shared import Row
from simulated_fleet import Fleet, Weather, simulate

HOUR = 3600.0
LIFE, CALM, FLOW = 4 * HOUR, 2 * HOUR, 20 * HOUR
BAD = Weather(life=LIFE, calm=CALM, flow=FLOW)
# and how many times longer a shard is than usual; there are so many fewer of them
WEATHERS: dict[str, tuple[Weather, int]] = {
    "nothing": (Weather(), 1),
    "nodes of unequal speed": (Weather(spread=0.5), 1),
    "nodes die": (Weather(life=LIFE), 1),
    "nodes slow down": (Weather(calm=CALM), 1),
    "nodes hang": (Weather(flow=FLOW), 1),
    "all of it": (BAD, 1),
    "all, long shards": (BAD, 10),
}


def mean(values: Sequence[float]) -> Row:
    """The mean and the standard deviation of single runs; None of one, which has none."""
    return {"mean": statistics.mean(values), "sd": statistics.stdev(values) if len(values) > 1 else None}


def world(name: str, fleet: Fleet, seeds: int) -> Row:
    """A fleet in one kind of weather, each world gone through without second attempts and with them."""
    weather, longer = WEATHERS[name]
    fleet = Fleet(max(1, fleet.shards // longer), fleet.nodes, fleet.seconds * longer)
    without, copied = ([simulate(weather, fleet, seed, copies) for seed in range(seeds)] for copies in (False, True))
    return {
        "weather": name,
        "shards": fleet.shards,
        "shard_seconds": fleet.seconds,
        "ideal_seconds": mean([each.ideal for each in copied]),
        "over_without": mean([each.over for each in without]),
        "over_with": mean([each.over for each in copied]),
        "gain": mean([1 - b.makespan / a.makespan for a, b in zip(without, copied, strict=True)]),
        "copies": mean([each.copies for each in copied]),
        "extra": mean([each.extra for each in copied]),
        "lost": mean([each.lost for each in copied]),
    }
