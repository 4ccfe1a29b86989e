"""`wgan bench`: artifacts side by side, each batch size of each in a process of its own."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wgan.serve.artifacts import artifact
from wgan.serve.artifacts.formats import is_checkpoint
from wgan.serve.base.errors import ArtifactError, BackendError
from wgan.serve.base.fetched import as_typed
from wgan.serve.base.progress import duration
from wgan.serve.base.terminal import counted
from wgan.serve.bench.conditions import conditions
from wgan.serve.bench.gate import best_row
from wgan.serve.bench.process import run_apart
from wgan.serve.bench.quality import PLAIN, doubtful, judge, quality
from wgan.serve.machine.gpu import memory_in_use

Row = dict[str, Any]
FACTS = ("passed", "max_abs", "device")  # of a parity report


@dataclass(frozen=True)
class Subject:
    """A file to measure, and how it is to be run where there is a choice."""

    path: Path
    backend: str
    precision: str = "fp32"  # of a checkpoint; an artifact has its own
    provider: str | None = None  # of ONNX Runtime; None to go by the device

    @property
    def variant(self) -> str:
        """How it is run, in a word, where that is not the default; else empty."""
        return self.provider or (self.precision if self.precision != "fp32" else "")


@dataclass(frozen=True)
class Plan:
    """What is measured, and how."""

    subjects: Sequence[Subject]
    batches: Sequence[int]  # images at a time, ascending
    device: str  # auto, cpu or cuda
    seconds: float  # how long each is timed
    repeats: int  # how often a case that could not be measured well is measured again


@dataclass(frozen=True)
class Bench:
    """What was measured: one row a subject and batch size, and the peaks that rows are compared with."""

    machine: Row  # processor, threads, GPU
    peaks: Row  # FLOP/s of a matrix product by precision; None where it was not measured
    rows: Sequence[Row]
    before: float | None = None  # the load average before the first
    doubtful_peaks: Sequence[str] = ()  # measured beside other work only

    def to_dict(self) -> Row:
        """For `--json`."""
        shown = {"machine": self.machine, "conditions": self.conditions(), "peaks": self.peaks}
        return shown | {"doubtful_peaks": list(self.doubtful_peaks), "rows": list(self.rows)}

    def conditions(self) -> Row:
        """What else the machine did meanwhile, and how many cases were measured again."""
        return conditions(self.rows, self.before)

    def by_subject(self) -> dict[str, list[Row]]:
        """The rows of each file, run in one way, in the order in which they were measured."""
        by_name: dict[str, list[Row]] = {}
        for row in self.rows:
            by_name.setdefault(named(row, "path"), []).append(row)
        return by_name

    def best(self) -> dict[str, Row | None]:
        """The row of each of them at its best batch that could be measured well; None where none was measured."""
        return {path: best_row(rows) for path, rows in self.by_subject().items()}


def measure(
    module: str,
    plan: Plan,
    *,
    peak: Callable[[Row], tuple[str, float | None]],
    progress: Callable[[int, int, str], None],
    clock: Callable[[], float] = time.monotonic,
) -> list[Row]:
    """One row a subject and batch size; what could not be measured has an ``error`` in place of figures.

    What was noisy, beside other work or out of line is measured again after all the rest, when a passing load may be
    over: `Plan.repeats` times at most, and together no longer than all took at first.

    Args:
        module: what is run in each process, with file, backend, device, batch, seconds, precision, provider, and
            the bytes in use on the GPU before, the last two empty where there is none.
        plan: what is measured.
        peak: the matrix product that a measured row is held against, and its FLOP/s if they are known.
        progress: told how many of how many are done, and which is next.
        clock: seconds.
    """
    cases = [(subject, describe(subject), batch) for subject in plan.subjects for batch in plan.batches]
    attempts: list[list[Row]] = []
    began, count = clock(), len(cases)
    for subject, known, batch in cases:
        progress(len(attempts), count, f"{named(known)}, batch {batch}")
        attempts.append([_attempt(module, subject, known, batch, plan)])
    budget, done = clock() - began, count
    for _ in range(plan.repeats):
        judged = judge(attempts)
        doubts = [i for i, row in enumerate(judged) if doubtful(row)]
        if doubts and done == count:
            progress(count, count, f"{counted(len(doubts), 'case')} again, for {duration(budget)} at most")
        for place, i in enumerate(doubts):
            if clock() - began > 2 * budget:
                break
            subject, known, batch = cases[i]
            why = PLAIN[quality(judged[i])]
            progress(done, done + len(doubts) - place, f"again, as {why}: {named(known)}, batch {batch}")
            attempts[i].append(_attempt(module, subject, known, batch, plan))
            done += 1
    rows = judge(attempts)
    for row in rows:
        if "error" not in row:
            row["peak"], rate = peak(row)
            row["share_of_peak"] = share_of_peak(row, rate)
    progress(done, done, "done")
    return rows


def _attempt(module: str, subject: Subject, known: Row, batch: int, plan: Plan) -> Row:
    row = {**known, "batch": batch}
    try:
        if "error" in known:
            raise BackendError(known["error"])
        used = memory_in_use()
        words = [str(subject.path), subject.backend, plan.device, str(batch), repr(plan.seconds), subject.precision]
        return row | run_apart(module, [*words, subject.provider or "", "" if used is None else str(used)])
    except BackendError as error:
        return row | {"error": as_typed(str(error))}


def named(row: Row, key: str = "file") -> str:
    """A row's file (or its path), and how it is run where that is not the default: `generator.pt bf16`."""
    return f"{row[key]} {row.get('variant', '')}".rstrip()


def describe(subject: Subject) -> Row:
    """What a file says of itself, without a runtime."""
    path = subject.path
    row: Row = {"file": path.name, "path": as_typed(str(path)), "variant": subject.variant, "backend": subject.backend}
    row |= {"precision": subject.precision, "provider": subject.provider}
    try:
        row["bytes"] = artifact.size_of(path)
        if is_checkpoint(path):
            row["parity"] = None  # it is what the others are measured against
            return row
        metadata = artifact.read(path).metadata
    except artifact.Foreign:
        return row | {"parity": None}
    except OSError as error:
        return row | {"error": as_typed(f"{path} cannot be read: {error.strerror}")}
    except ArtifactError as error:
        return row | {"error": as_typed(str(error))}
    return row | {"precision": metadata.precision, "parity": facts(metadata.parity)}


def facts(report: Mapping[str, Any] | None) -> Row:
    """The figures of a parity report that a row shows."""
    return {key: (report or {}).get(key) for key in FACTS}


def share_of_peak(row: Row, peak: float | None) -> float | None:
    """FLOP/s of generation over those of the matrix product; None where either is not known."""
    flops = row.get("flops")
    if not flops or not peak:
        return None
    return float(flops) * float(row["images_per_second"]) / peak
