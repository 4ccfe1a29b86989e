"""Training and generation beside busy neighbours: `python scripts/bench_contention.py`.

Each case runs in a process of its own, as a user's does: alone, beside one and two processes that spin in one thread
each, and training also beside a second training and beside a stand-in for a test suite, which multiplies matrices on
all cores and starts Python processes. The neighbours are this script's own and end with it. On the CPU, with the
networks of the demo preset; --export takes the generator of a run. Stdout is tables and, as its last line, one JSON
object.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, NoReturn

from bench_shared import Figure, Row, cell, machine, measured, noise, ratio, reasons, run, say, shown, table, whole

from wgan.serve.base.errors import BackendError, WganError
from wgan.serve.machine.cores import usable_cores

if TYPE_CHECKING:
    from wgan.training.config import Config

BATCH = 64  # images of a batch that is generated: as many as `wgan sample` takes at a time
PRODUCTS, SIZE = 1.0, 512  # the stand-in: seconds of matrix products, and their size
CASES = {
    "training": "training, an iteration",
    "torchscript": f"TorchScript, {BATCH} images",
    "torch": f"torch, {BATCH} images",
    "onnx": f"ONNX Runtime, {BATCH} images",
    "parity": "parity of the ONNX file",
}
# of a case: its file, and the format that it is exported in, if it is
FILES: dict[str, tuple[str, str | None]] = {
    "torchscript": ("generator.ts", "torchscript"),
    "torch": ("generator.pt", None),
    "onnx": ("generator.onnx", "onnx"),
    "parity": ("generator.onnx", "onnx"),
}
ALONE, SECOND = "alone", "a training"
# beside what: the neighbours of a case, and how many times as long it may take on two cores
BESIDE: dict[str, tuple[str, ...]] = {
    ALONE: (),
    "one busy": ("spin",),
    "two busy": ("spin", "spin"),
    SECOND: ("training",),
    "a suite": ("suite",),
}
MOST = {"one busy": 1.9, "two busy": 2.7, SECOND: 2.7, "a suite": 3.0}
ALWAYS = "a suite"  # its slowest round counts: it may never take longer
OF_TRAINING = (SECOND, "a suite")
TINY = {"image_size": 16, "base_channels": 4, "batch_size": 8, "latent_dim": 8}


def orders() -> SimpleQueue[str]:
    """The lines of stdin. Where it ends, as it does when the parent dies, so do this process and what it started."""
    lines = SimpleQueue[str]()

    def read() -> None:
        for line in sys.stdin:
            lines.put(line)
        os.killpg(0, signal.SIGKILL)

    Thread(target=read, daemon=True).start()
    return lines


def ready() -> None:
    """Tells the parent that what is slow once is done."""
    print("ready", flush=True)


def spin() -> NoReturn:
    """A busy process: one thread that never waits."""
    orders()
    ready()
    while True:
        pass


def suite() -> NoReturn:
    """What a test suite does to a machine: operators on all cores, whose threads spin, and new processes."""
    orders()
    import torch

    from wgan.serve.backends.pytorch.device import torch_device

    torch_device("cpu")  # held to the cores that this process may use
    a = torch.randn(SIZE, SIZE)
    ready()
    while True:
        until = time.monotonic() + PRODUCTS
        while time.monotonic() < until:
            torch.relu(a @ a)
        for _ in range(2):
            subprocess.run([sys.executable, "-c", "import numpy"], stdin=subprocess.DEVNULL, check=True)


def networks(asked: Row) -> "Config":
    """The demo preset's, or tiny ones."""
    from wgan.training import config

    return config.load("demo").replace(precision="fp32", **(TINY if asked["quick"] else {}))


def training(asked: Row) -> Callable[[], object]:
    """An iteration of `wgan train`."""
    import torch

    from wgan.serve.backends.pytorch.device import torch_device
    from wgan.training.step.trainer import Trainer

    config, device = networks(asked), torch.device(torch_device("cpu"))
    return partial(Trainer(config, device).iterate, noise(config, device))


def generation(asked: Row) -> Callable[[], object]:
    """A batch of `wgan sample`, before it becomes files."""
    from wgan.models import open_model
    from wgan.serve.latents.table import latents

    kind = asked["role"]
    backend = open_model(Path(asked["folder"]) / FILES[kind][0], kind, "cpu")
    return partial(backend.run, latents(0, BATCH, backend.metadata.latent.dim))


def parity(asked: Row) -> Callable[[], object]:
    """`wgan verify` of one artifact."""
    from wgan.export.verify import verify_file

    return partial(verify_file, Path(asked["folder"]) / FILES["parity"][0], device="cpu")


def case(asked: Row) -> None:
    """Warms up, then for each number of seconds on stdin says the mean ms of a call in so many seconds."""
    lines = orders()
    makers = {"training": training, "parity": parity}
    try:
        work = makers.get(asked["role"], generation)(asked)
        work()
    except WganError as error:
        print(error, flush=True)
        return
    ready()
    while True:
        span, count = float(lines.get()), 0
        work()  # until the neighbours and this process have settled
        began = now = time.perf_counter()
        while not count or now - began < span:
            work()
            count, now = count + 1, time.perf_counter()
        print((now - began) / count * 1e3, flush=True)


@contextmanager
def process(**asked: object) -> Iterator[subprocess.Popen[str]]:
    """A process of this script that is ready; it ends with the block, and by itself where this one dies."""
    command = [sys.executable, __file__, "--process", json.dumps(asked)]
    # a group of its own: Ctrl-C is for this process, which ends the others
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, process_group=0) as child:
        try:
            answer(child, "ready")
            yield child
        finally:
            os.killpg(child.pid, signal.SIGKILL)


def answer(child: subprocess.Popen[str], wanted: str | None = None) -> str:
    """The next line of a process. Raises BackendError where it has ended, or says anything but what is ``wanted``."""
    assert child.stdout is not None
    line = child.stdout.readline().strip()
    if not line or wanted not in (None, line):
        raise BackendError(line or f"process {child.pid} of this benchmark failed")
    return line


def timed(children: list[subprocess.Popen[str]], span: float) -> list[float]:
    """Mean ms of a call of each of these processes, in the same ``span`` seconds."""
    for child in children:
        assert child.stdin is not None
        print(span, file=child.stdin, flush=True)
    return [float(answer(child)) for child in children]


def rows_of(name: str, beside: list[str], asked: Row, rounds: int, span: float) -> list[Row]:
    """A row for each of ``beside``; in every round each has its turn. ``span`` is the seconds of one of a round."""
    spans: dict[str, list[list[float]]] = {surroundings: [] for surroundings in beside}
    with process(role=name, **asked) as child:
        for i in range(rounds):
            for surroundings, times in spans.items():
                what = f"beside {surroundings}" if surroundings != ALONE else ALONE
                say(f"bench_contention: {CASES[name]}, {what}, round {i + 1} of {rounds}")
                with ExitStack() as stack:
                    others = [stack.enter_context(process(role=role, **asked)) for role in BESIDE[surroundings]]
                    measures = [child, *(others if surroundings == SECOND else [])]
                    times.append(timed(measures, span))
    figures = {where: measured([max(each) for each in times]) for where, times in spans.items()}
    return [row_of(name, where, figures, spans[where]) for where in beside]


def row_of(name: str, where: str, figures: dict[str, Figure], times: list[list[float]]) -> Row:
    """What is shown of one case in one place; of two trainings the slower one counts."""
    longer = ratio(figures[where], figures[ALONE])
    row: Row = {"case": name, "beside": where, **figures[where].row("ms"), **longer.row("times_alone")}
    if where == SECOND:
        row["ms_each"] = [measured(own).median for own in zip(*times, strict=True)]
    if where in MOST:
        slowest = max(map(max, times)) / figures[ALONE].median if figures[ALONE].reason is None else None
        held = slowest if where == ALWAYS else longer.value
        row |= {"most": MOST[where], "slowest": slowest, "holds": None if held is None else held <= MOST[where]}
    return row


def export(folder: Path, asked: Row, names: list[str]) -> None:
    """Writes the files that these cases are measured with: of a generator that was not trained."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.make import make_generator
    from wgan.export import exporter

    say("bench_contention: exporting a generator")
    formats = {kind for _, kind in map(FILES.__getitem__, names) if kind is not None}
    list(exporter.export(make_generator(**networks(asked).to_dict()), folder, sorted(formats), device="cpu"))


def measure(wanted: argparse.Namespace) -> Row:
    """All cases that were asked for."""
    rounds, seconds = wanted.rounds or (2 if wanted.quick else 3), wanted.seconds or (0.1 if wanted.quick else 9.0)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        asked = {"quick": wanted.quick, "folder": str(wanted.export or folder)}
        if wanted.export is None and (files := [name for name in wanted.only if name in FILES]):
            export(Path(folder), asked, files)
        for name in wanted.only:
            beside = [where for where in wanted.beside if name == "training" or where not in OF_TRAINING]
            rows += rows_of(name, beside, asked, rounds, seconds / rounds)
    return {
        "benchmark": "contention",
        "machine": machine(),
        "trained": wanted.export is not None,
        "cores": usable_cores(),
        "seconds": seconds,
        "rounds": rounds,
        "rows": rows,
    }


def show(result: Row) -> str:
    """The tables, 80 columns wide."""
    by_place = {(row["case"], row["beside"]): row for row in result["rows"]}
    cases, beside = (list(dict.fromkeys(row[key] for row in result["rows"])) for key in ("case", "beside"))
    parts = []
    for key, title, form in (("ms", "ms", ",.1f"), ("times_alone", "times alone", ".2f")):
        rows = [[by_place.get((case, where), {key: None}) for where in beside] for case in cases]
        cells = [(CASES[case], *(cell(row, key, form) for row in own)) for case, own in zip(cases, rows, strict=True)]
        parts.append(table(("beside", *beside), cells, title))
    parts += reasons(result["rows"], ["ms"], lambda row: f"{CASES[row['case']]}, {row['beside']}")
    cells = []
    for row in result["rows"]:
        if "most" in row:
            held = row["slowest"] if row["beside"] == ALWAYS else row["times_alone"]
            holds = "not measured" if row["holds"] is None else "holds" if row["holds"] else "DOES NOT HOLD"
            cells.append((CASES[row["case"]], row["beside"], f"{row['most']:.1f}", shown(held, ".2f"), holds))
    title = f"targets, times alone, set for two cores; here are {result['cores']}"
    if cells:
        parts.append(table(("case", "beside", "at most", "measured", ""), cells, title))
    if any(row["beside"] == ALWAYS for row in result["rows"]):
        parts.append("a suite: a stand-in for one, matrix products on all cores and new Python")
        parts.append("processes in turn; the slowest round counts")
    if any(row["beside"] == SECOND for row in result["rows"]):
        parts.append("a training: of the two the slower one counts")
    return "\n".join(parts)


def among(names: dict[str, object], first: str = "") -> Callable[[str], list[str]]:
    """An argument's type: some of ``names``, set apart by commas; ``first`` is always one of them."""

    def read(text: str) -> list[str]:
        words = [word.strip() for word in text.split(",")]
        if unknown := [word for word in words if word not in names]:
            raise argparse.ArgumentTypeError(f"{unknown[0]} is not one of {', '.join(names)}")
        return [name for name in names if name in words or name == first]

    return read


def some_seconds(text: str) -> float:
    """An argument's type: seconds."""
    try:
        if 0 < (seconds := float(text)) <= 3600:
            return seconds
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text} is not a number of seconds up to 3600")


def main() -> int:
    """Measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=among(dict(CASES)), default=list(CASES), help=f"of {', '.join(CASES)}")
    parser.add_argument(
        "--beside", type=among(dict(BESIDE), ALONE), default=list(BESIDE), help=f"of {', '.join(BESIDE)}"
    )
    parser.add_argument("--export", type=Path, help="export folder [default: a generator that was not trained]")
    parser.add_argument("--seconds", type=some_seconds, help="of each case in each place, all rounds [default: 9]")
    parser.add_argument("--rounds", type=whole(1), help="[default: 3; quick 2]")
    parser.add_argument("--quick", action="store_true", help="tiny networks, a tenth of a second: a try, no figures")
    parser.add_argument("--process", type=json.loads, help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.process:
        neighbours = {"spin": spin, "suite": suite}
        role = wanted.process["role"]
        neighbours[role]() if role in neighbours else case(wanted.process)
        return 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: the neighbours are ended
    return run("bench_contention", lambda: measure(wanted), show)


if __name__ == "__main__":
    sys.exit(main())
