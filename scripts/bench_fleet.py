"""A set of shards by several workers, measured and simulated: `python scripts/bench_fleet.py`.

Measured: images a second of one process, a plain loop, beside those of several at a time, each of one thread: as
processes that share the shards by `--shard i/k`, and as nodes of a Ray cluster on this machine. Their starts are apart.
The ideal is as many plain loops as there are workers, and no more than the cores could do.

Simulated: 10,000 shards on 100 nodes that are unequal, die, slow down and hang, over several seeds: how much longer
than the ideal it takes, without and with second attempts at slow shards, and what these cost. The schedule is the
code that `wgan sample --ray` runs.

Stdout is tables and, as its last line, one JSON object.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from bench_shared import Row, cell, machine, measured, reasons, run, say, shown, table, wgan, whole, wholes
from fleet_weather import WEATHERS, world
from simulated_fleet import Fleet

from wgan.serve.base.errors import ConfigError
from wgan.serve.machine.cores import usable_cores

LOOP, PROCESSES, RAY = "plain loop", "processes", "Ray"
PARTS = ("measured", "simulated")
Words = Sequence[str]


def outputs(commands: Sequence[Words]) -> tuple[list[Row], float, float]:
    """What these `wgan`s print, that run side by side; wall seconds, and CPU seconds of all of them.

    Raises:
        ConfigError: one did not end with 0; the text is what it said.
    """
    before, began = os.times(), time.perf_counter()
    program = [sys.executable, "-m", "wgan"]
    started = [
        subprocess.Popen([*program, *words, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for words in commands
    ]
    said = [each.communicate() for each in started]
    wall, after = time.perf_counter() - began, os.times()
    for each, (_, err) in zip(started, said, strict=True):
        if each.returncode:
            raise ConfigError(err.strip()[-300:])
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return [json.loads(out) for out, _ in said], wall, cpu


@contextmanager
def cluster(nodes: int) -> Iterator[tuple[str, float]]:
    """The address of a Ray cluster on this machine with so many nodes of one CPU, and how many seconds it took."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    with tempfile.TemporaryDirectory(prefix="ray") as place:
        began, small = time.perf_counter(), {"object_store_memory": 2**27}
        head = {"num_cpus": 0, "temp_dir": place, "include_dashboard": False, **small}
        try:
            made = Cluster(initialize_head=True, head_node_args=head)
        except Exception as error:  # of Ray, which has no class for it; it is late on a busy machine
            raise ConfigError(f"no Ray cluster of this machine: {error}") from error
        try:
            for _ in range(nodes):
                made.add_node(wait=False, num_cpus=1, **small)
            made.wait_for_nodes()
            yield made.address, time.perf_counter() - began
        finally:
            made.shutdown()  # type: ignore[no-untyped-call]


class Set:
    """The set that is made again and again."""

    def __init__(self, model: str, shards: int, size: int) -> None:
        self.count = shards * size
        one = ("sample", "--model", model, "--device", "cpu", "--threads", "1")
        self.one = (*one, "-n", "1")  # what starting costs, and is no part of an image
        self.words = (*one, "-n", str(self.count), "--shard-size", str(size))

    def made(self, *options: Words) -> tuple[float, float, float]:
        """(seconds of making it, of starting, CPU seconds) by so many processes as there are ``options``."""
        with tempfile.TemporaryDirectory() as place:
            out = ("--out", str(Path(place) / "faces.tar"))
            found, wall, cpu = outputs([(*self.words, *more, *out) for more in options])
            if (made := sum(each["made"] for each in found)) != len(list(Path(place).glob("faces-*.tar"))):
                raise ConfigError(f"{made} shards were made and others are there")
        span = max(each["seconds"] for each in found)
        return span, wall - span, cpu

    def loop(self, rounds: int) -> tuple[Row, float]:
        """The plain loop's row, and CPU seconds an image."""
        spans = [self.made(()) for _ in range(rounds)]
        with tempfile.TemporaryDirectory() as place:
            start = wgan(*self.one, "--out", str(Path(place) / "one.npy"))["cpu"]
        cpu = statistics.median(cpu for _, _, cpu in spans) - start
        return self.row(LOOP, 1, spans), cpu / self.count

    def processes(self, workers: int, rounds: int) -> Row:
        """By processes that each make their part."""
        parts = [("--shard", f"{i}/{workers}") for i in range(1, workers + 1)]
        return self.row(PROCESSES, workers, [self.made(*parts) for _ in range(rounds)])

    def ray(self, workers: int, rounds: int) -> Row:
        """By a cluster."""
        with cluster(workers) as (address, seconds):
            spans = [self.made(("--ray", address)) for _ in range(rounds)]
        return self.row(RAY, workers, spans) | {"cluster_seconds": seconds}

    def row(self, by: str, workers: int, spans: Sequence[tuple[float, float, float]]) -> Row:
        """The figures of one way."""
        rate = measured([span for span, _, _ in spans]).per(self.count)
        start = statistics.median(start for _, start, _ in spans)
        return {"by": by, "workers": workers, "start_seconds": start, **rate.row("images_per_second")}


def real(wanted: argparse.Namespace) -> Row:
    """One process, and several."""
    shards, size = wanted.shards or (8 if wanted.quick else 24), wanted.shard_size or (100 if wanted.quick else 2000)
    rounds, cores = wanted.rounds or (1 if wanted.quick else 3), usable_cores()
    workers = wanted.workers or ([1, 2] if wanted.quick else [1, 2, 4])
    made = Set(wanted.model, shards, size)
    say(f"bench_fleet: {made.count:,} images in {shards} shards, a {LOOP}")
    first, cpu = made.loop(rounds)
    rows = [first]
    ways: dict[str, Callable[[int, int], Row]] = {PROCESSES: made.processes}
    if find_spec("ray") is not None:
        ways[RAY] = made.ray
    for by, way in ways.items():
        for number in workers:
            say(f"bench_fleet: {by}, {number}")
            rows.append(way(number, rounds))
    alone = first["images_per_second"]
    for row in rows:
        best = None if alone is None else max(alone, min(row["workers"] * alone, cores / cpu))
        rate = row["images_per_second"]
        row |= {"ideal": best, "of_ideal": None if best is None or rate is None else rate / best}
    return {"count": made.count, "shards": shards, "cores": cores, "cpu_seconds_an_image": cpu, "rows": rows}


def simulated(wanted: argparse.Namespace) -> Row:
    """A fleet in each kind of weather."""
    fleet, seeds = (Fleet(400, 20), 3) if wanted.quick else (Fleet(), 20)
    seeds = wanted.seeds or seeds
    rows = []
    for name in WEATHERS:
        say(f"bench_fleet: simulated, {name}")
        rows.append(world(name, fleet, seeds))
    return {"shards": fleet.shards, "nodes": fleet.nodes, "shard_seconds": fleet.seconds, "seeds": seeds, "rows": rows}


def everything(wanted: argparse.Namespace) -> Row:
    """What was asked for."""
    parts = [wanted.only] if wanted.only else PARTS
    ways = {"measured": real, "simulated": simulated}
    found: Row = {name: ways[name](wanted) if name in parts else None for name in PARTS}
    return {"benchmark": "fleet", "machine": machine(), "model": wanted.model, **found}


def spread(row: Row, name: str, form: str = ".1%") -> str:
    """Mean ± standard deviation."""
    found = row[name]
    return f"{found['mean']:{form}} ± {shown(found['sd'], form)}"


def show(result: Row) -> str:
    """The tables."""
    lines = []
    if (part := result["measured"]) is not None:
        heads = ("by", "workers", "images/s", "spread", "ideal", "of it", "start s", "cluster s")
        rows = [
            (
                row["by"],
                row["workers"],
                cell(row, "images_per_second", ",.0f"),
                shown(row["images_per_second_spread"], ".0%"),
                shown(row["ideal"], ",.0f"),
                shown(row["of_ideal"], ".0%"),
                shown(row["start_seconds"]),
                shown(row.get("cluster_seconds")),
            )
            for row in part["rows"]
        ]
        title = f"{part['count']:,} images in {part['shards']} shards, {part['cores']} cores"
        lines += [table(heads, rows, title)]
        lines += reasons(part["rows"], ["images_per_second"], lambda row: f"{row['by']}, {row['workers']}")
    if (part := result["simulated"]) is not None:
        columns = ("above the ideal where", "one attempt", "a second", "copies", "extra work")
        keys = ("over_without", "over_with")
        worlds = [
            (w["weather"], *(spread(w, key) for key in keys), f"{w['copies']['mean']:.0f}", f"{w['extra']['mean']:.2%}")
            for w in part["rows"]
        ]
        title = f"simulated: {part['shards']:,} shards of {part['shard_seconds']:.0f} s on {part['nodes']} nodes, "
        lines.append(table(columns, worlds, f"{title}{part['seeds']} seeds"))
    return "\n".join(lines)


def main() -> int:
    """Measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small and short: under a minute")
    parser.add_argument("--only", choices=PARTS, help="[default: both]")
    parser.add_argument("--model", default="faces", help="artifact [default: the built-in faces]")
    parser.add_argument("--workers", type=wholes, help="[default: 1,2,4; quick 1,2]")
    parser.add_argument("--shards", type=whole(1), help="that are measured [default: 24; quick 8]")
    parser.add_argument("--shard-size", type=whole(1), help="images [default: 2000; quick 100]")
    parser.add_argument("--rounds", type=whole(1), help="[default: 3; quick 1]")
    parser.add_argument("--seeds", type=whole(1), help="that are simulated [default: 20; quick 3]")
    wanted = parser.parse_args()
    return run("bench_fleet", partial(everything, wanted), show)


if __name__ == "__main__":
    sys.exit(main())
