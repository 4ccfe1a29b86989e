"""`wgan bench`: artifacts side by side, each batch size of each in a process of its own."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wgan.serve.artifacts import artifact
from wgan.serve.base.errors import ArtifactError, BackendError
from wgan.serve.bench.process import run_apart
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
class Bench:
    """What was measured: one row a subject and batch size, and the peaks that rows are compared with."""

    machine: Row  # processor, threads, GPU
    peaks: Row  # FLOP/s of a matrix product by precision; None where it was not measured
    rows: Sequence[Row]

    def to_dict(self) -> Row:
        """For `--json`."""
        return {"machine": self.machine, "peaks": self.peaks, "rows": list(self.rows)}

    def by_subject(self) -> dict[str, list[Row]]:
        """The rows of each file, run in one way, in the order in which they were measured."""
        by_name: dict[str, list[Row]] = {}
        for row in self.rows:
            by_name.setdefault(named(row, "path"), []).append(row)
        return by_name

    def fastest(self) -> dict[str, float]:
        """Images a second of each of them at its best batch; 0 where it could not be measured."""
        return {
            path: max((row["images_per_second"] for row in rows if "error" not in row), default=0.0)
            for path, rows in self.by_subject().items()
        }


def measure(
    module: str,
    subjects: Sequence[Subject],
    batches: Sequence[int],
    *,
    device: str,
    seconds: float,
    peak: Callable[[Row], tuple[str, float | None]],
    progress: Callable[[int, int, str], None],
) -> Iterator[Row]:
    """One row a subject and batch size; what could not be measured has an ``error`` in place of figures.

    Args:
        module: what is run in each process, with file, backend, device, batch, seconds, precision, provider, and
            the bytes in use on the GPU before, the last two empty where there is none.
        subjects: what is measured.
        batches: images at a time.
        device: auto, cpu or cuda.
        seconds: how long each is timed.
        peak: the matrix product that a measured row is held against, and its FLOP/s if they are known.
        progress: told how many of how many are done, and which is next.
    """
    total = len(subjects) * len(batches)
    for i, subject in enumerate(subjects):
        known = describe(subject)
        for j, batch in enumerate(batches):
            progress(i * len(batches) + j, total, f"{named(known)}, batch {batch}")
            row = {**known, "batch": batch}
            try:
                if "error" in known:
                    raise BackendError(known["error"])
                used = memory_in_use()
                words = [str(subject.path), subject.backend, device, str(batch), repr(seconds), subject.precision]
                row |= run_apart(module, [*words, subject.provider or "", "" if used is None else str(used)])
                row["peak"], rate = peak(row)
                row["share_of_peak"] = share_of_peak(row, rate)
            except BackendError as error:
                row["error"] = str(error)
            yield row
    progress(total, total, "done")


def named(row: Row, key: str = "file") -> str:
    """A row's file (or its path), and how it is run where that is not the default: `generator.pt bf16`."""
    return f"{row[key]} {row.get('variant', '')}".rstrip()


def describe(subject: Subject) -> Row:
    """What a file says of itself, without a runtime."""
    path = subject.path
    row: Row = {"file": path.name, "path": str(path), "variant": subject.variant, "backend": subject.backend}
    row |= {"precision": subject.precision, "provider": subject.provider}
    try:
        row["bytes"] = path.stat().st_size
        if subject.backend == "torch":
            row["parity"] = None  # it is what the others are measured against
            return row
        metadata = artifact.read(path).metadata
    except artifact.Foreign:
        return row | {"parity": None}
    except OSError as error:
        return row | {"error": f"{path} cannot be read: {error.strerror}"}
    except ArtifactError as error:
        return row | {"error": str(error)}
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
