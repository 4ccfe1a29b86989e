"""What the benchmarks share: a clock that waits for the device, peaks, tables, and processes of their own."""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wgan.serve.base.errors import WganError
from wgan.serve.bench.peak import torch_peak
from wgan.serve.bench.quality import loaded
from wgan.serve.bench.speed import NOISY, middle_half
from wgan.serve.machine.load import Load, Watch, load_average, own_and_ended_children

Row = dict[str, Any]
TOO_NOISY = "too noisy to measure"


def say(text: str) -> None:
    """Progress, on stderr."""
    print(text, file=sys.stderr, flush=True)


def whole(low: int) -> Callable[[str], int]:
    """An argument's type: a whole number from ``low`` on."""

    def read(text: str) -> int:
        if not text.isdecimal() or int(text) < low:
            raise argparse.ArgumentTypeError(f"{text} is not a whole number from {low} on")
        return int(text)

    return read


def wholes(text: str) -> list[int]:
    """An argument's type: whole numbers from 1 on, set apart by commas."""
    return [whole(1)(word.strip()) for word in text.split(",")]


def device_named(name: str) -> Any:
    """The torch device, as asked or the GPU where there is one. Raises WganError."""
    import torch

    from wgan.serve.backends.pytorch.device import torch_device

    return torch.device(torch_device(name))


def wait(device: Any) -> None:
    """Until the device has done what it was given."""
    if device.type == "cuda":
        import torch

        torch.cuda.synchronize(device)


def seconds(work: Callable[[], object], device: Any) -> float:
    """How long ``work`` takes, until the device has done it."""
    wait(device)
    began = time.perf_counter()
    work()
    wait(device)
    return time.perf_counter() - began


@dataclass(frozen=True)
class Figure:
    """A measured number and its error, in one unit.

    ``error`` is how far the middle half of the rounds lies apart; None of one round, which has none.
    ``reason`` is why there is no number to show; None where there is.
    """

    median: float
    error: float | None
    reason: str | None = None

    @property
    def value(self) -> float | None:
        """What may be shown."""
        return self.median if self.reason is None else None

    @property
    def spread(self) -> float | None:
        """The error as a share of the number."""
        return None if self.error is None or self.median == 0 else self.error / abs(self.median)

    def times(self, factor: float) -> "Figure":
        """In another unit."""
        return Figure(self.median * factor, None if self.error is None else self.error * abs(factor), self.reason)

    def per(self, count: float) -> "Figure":
        """Of a time that ``count`` things take: how many a unit of time."""
        rate = count / self.median
        return Figure(rate, None if self.spread is None else rate * self.spread, self.reason)

    def row(self, name: str) -> Row:
        """For JSON: the number or null, its spread, and the reason of a null."""
        return {name: self.value, f"{name}_spread": self.spread, f"{name}_reason": self.reason}


def too_noisy(spread: float | None) -> str | None:
    """Why a number of this spread is not shown; None where it may be."""
    return f"{TOO_NOISY} (spread {spread:.0%})" if spread is not None and spread > NOISY else None


def measured(rounds: Sequence[float]) -> Figure:
    """Rounds of timings, all above 0, as their median; no number where they lie too far apart."""
    median, error = statistics.median(rounds), middle_half(rounds) if len(rounds) > 1 else None
    return Figure(median, error, too_noisy(None if error is None else error / median))


def difference(a: Figure, b: Figure) -> Figure:
    """``a`` - ``b`` with the error of both; no number where that error is as large: it would be chance."""
    median = a.median - b.median
    if a.error is None or b.error is None:
        return Figure(median, None, "not measured (one round has no error)")
    error = math.hypot(a.error, b.error)
    return Figure(median, error, None if median > error else f"not measured ({median:.3g} ± {error:.3g})")


def ratio(a: Figure, b: Figure) -> Figure:
    """``a`` / ``b``; no number where either has none."""
    quotient = a.median / b.median
    error = None if a.spread is None or b.spread is None else quotient * math.hypot(a.spread, b.spread)
    return Figure(quotient, error, a.reason or b.reason)


def noise(config: Any, device: Any) -> Any:
    """Endless batches of noise, as the data of a run with these settings would give them."""
    import numpy as np

    from wgan.training.data import ImageSet
    from wgan.training.data.stream import BatchStream

    shape = (4 * config.batch_size, config.image_size, config.image_size, config.channels)
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    return BatchStream(ImageSet(pixels, None, None, "noise", ""), config.batch_size, 0, device)


def peaks(device: Any, size: int | None = None) -> dict[str, float]:
    """FLOP/s of products of square matrices by torch: fp32 (no TF32) and bf16."""
    size = size or (8192 if device.type == "cuda" else 2048)
    return {precision: torch_peak(device, precision, size) for precision in ("fp32", "bf16")}


def machine(device: Any = None) -> Row:
    """What the figures were measured on."""
    from wgan.serve.machine.hardware import cpu

    processor = cpu()
    row: Row = {"cpu": processor.name, "threads": processor.threads, "python": sys.version.split()[0]}
    if device is not None:
        import torch

        gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
        row |= {"device": device.type, "gpu": gpu, "torch": torch.__version__, "torch_threads": torch.get_num_threads()}
    return row


def exponent(xs: Sequence[float], ys: Sequence[float]) -> float | None:
    """The slope of log y over log x by least squares: 1 where y grows as x does. None for fewer than two xs."""
    if len(set(xs)) < 2:
        return None
    a, b = [math.log(x) for x in xs], [math.log(y) for y in ys]
    return statistics.linear_regression(a, b).slope


def table(heads: Sequence[str], rows: Iterable[Sequence[object]], title: str = "") -> str:
    """Text in columns, figures to the right."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(line[i]) for line in [list(heads), *cells]) for i in range(len(heads))]
    sides = "<" + ">" * (len(heads) - 1)
    lines = [
        "  ".join(f"{cell:{side}{width}}" for side, cell, width in zip(sides, line, widths, strict=True))
        for line in [list(heads), *cells]
    ]
    return "\n".join([*([f"\n{title}"] if title else []), *(line.rstrip() for line in lines)])


def shown(value: float | None, form: str = ",.1f") -> str:
    """A figure, or a dash where there is none."""
    return "-" if value is None else format(value, form)


def cell(row: Row, name: str, form: str = ",.1f") -> str:
    """A figure of `Figure.row` in a table: its number, `noisy`, or a dash; `reasons` says why."""
    return "noisy" if str(row.get(f"{name}_reason")).startswith(TOO_NOISY) else shown(row[name], form)


def reasons(rows: Iterable[Row], names: Iterable[str], called: Callable[[Row], str]) -> list[str]:
    """A line for each of these figures that has no number."""
    wanted = list(names)
    return [
        f"{called(row)}, {name.replace('_', ' ')}: {row[f'{name}_reason']}"
        for row in rows
        for name in wanted
        if row.get(f"{name}_reason")
    ]


def conditions(load: Load, before: float | None) -> Row:
    """What others did to the machine meanwhile, for JSON."""
    row = load.to_dict() | {"load_average_before": before}
    return row | {"loaded": None if load.others is None else loaded(row)}


def conditions_line(row: Row) -> str:
    """The same for people, within 80 columns."""
    before = shown(row["load_average_before"])
    if row["loaded"] is None:
        return f"other work: load average {before} before, not known while measuring"
    line = f"other work: load average {before} before, {row['load_others'] + row['steal']:.1f} cores while measuring"
    return (
        f"{line}\n! over {row['load_limit']:.1f} cores: the figures are too low, run it again"
        if row["loaded"]
        else line
    )


def run(
    name: str,
    measure: Callable[[], Row],
    show: Callable[[Row], str],
    own: Callable[[], float] = own_and_ended_children,
) -> int:
    """Measures, prints the tables and, as the last line, everything as one JSON object; the script's exit code.

    With the conditions: what was busy meanwhile but this script and the processes that it started, whose CPU seconds
    ``own`` tells.
    """
    try:
        before, watch = load_average(), Watch(own)
        result = measure()
        result["conditions"] = conditions(watch.load(), before)
    except WganError as error:
        say(f"{name}: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    print(show(result))
    print(conditions_line(result["conditions"]))
    print(json.dumps(result), flush=True)
    return 0


_WATCHED = """
import json, os, sys, time
from wgan.cli import main
code = main(json.loads(sys.argv[1]))
sys.stdout.flush()
from wgan.serve.bench.process import peak_memory
with open(sys.argv[2], "w") as file:
    json.dump({"code": code, "peak_memory": peak_memory()}, file)
os._exit(code)
"""


def wgan(*words: str) -> Row:
    """Runs `wgan` with these words in a process of its own: wall and CPU seconds, and its peak of memory in bytes.

    Raises:
        RuntimeError: it did not end with 0; the text is what it said.
    """
    with tempfile.TemporaryDirectory() as folder:
        noted = Path(folder) / "noted.json"
        before, began = os.times(), time.perf_counter()
        command = [sys.executable, "-c", _WATCHED, json.dumps(words), str(noted)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        wall, after = time.perf_counter() - began, os.times()
        if done.returncode != 0:
            raise RuntimeError(f"wgan {' '.join(words)}: {done.stderr.strip()[-300:]}")
        cpu = after.children_user + after.children_system - before.children_user - before.children_system
        return {"wall": wall, "cpu": cpu, "peak_memory": json.loads(noted.read_text())["peak_memory"]}
