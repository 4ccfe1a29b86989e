"""`wgan bench`: artifacts side by side, each batch size of each in a process of its own."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wgan.serve import artifact
from wgan.serve.bench_case import run_apart
from wgan.serve.errors import ArtifactError, BackendError

Row = dict[str, Any]


@dataclass(frozen=True)
class Bench:
    """What was measured: one row an artifact and batch size, and the peaks that they are held against."""

    machine: Row  # processor, threads, GPU
    peaks: Row  # FLOP/s of a matrix product by precision; None where it was not measured
    rows: Sequence[Row]

    def to_dict(self) -> Row:
        """For `--json`."""
        return {"machine": self.machine, "peaks": self.peaks, "rows": list(self.rows)}

    def by_artifact(self) -> dict[str, list[Row]]:
        """The rows of each file, in the order in which they were measured."""
        found: dict[str, list[Row]] = {}
        for row in self.rows:
            found.setdefault(row["path"], []).append(row)
        return found

    def fastest(self) -> dict[str, float]:
        """Images a second of each file at its best batch; 0 where it could not be measured."""
        return {
            path: max((row["images_per_second"] for row in rows if "error" not in row), default=0.0)
            for path, rows in self.by_artifact().items()
        }


def measure(
    module: str,
    files: Sequence[tuple[Path, str]],
    batches: Sequence[int],
    *,
    device: str,
    seconds: float,
    peak: Callable[[str, str], float | None],
    progress: Callable[[int, int, str], None],
) -> Iterator[Row]:
    """One row an artifact and batch size; what could not be measured has an ``error`` in place of figures.

    Args:
        module: what is run in each process, with file, backend, device, batch and seconds.
        files: artifacts and their backends' names.
        batches: images at a time.
        device: auto, cpu or cuda.
        seconds: how long each is timed.
        peak: FLOP/s of the matrix product on a device in a precision, if it is known.
        progress: told how many of how many are done, and which is next.
    """
    total = len(files) * len(batches)
    for i, (path, kind) in enumerate(files):
        known = describe(path, kind)
        for j, batch in enumerate(batches):
            progress(i * len(batches) + j, total, f"{path.name}, batch {batch}")
            row = {**known, "batch": batch}
            try:
                if "error" in known:
                    raise BackendError(known["error"])
                row |= run_apart(module, [str(path), kind, device, str(batch), repr(seconds)])
                row["share_of_peak"] = share_of_peak(row, peak(row["device"], row["precision"]))
            except BackendError as error:
                row["error"] = str(error)
            yield row
    progress(total, total, "done")


def describe(path: Path, kind: str) -> Row:
    """What a file says of itself, without a runtime."""
    row: Row = {"file": path.name, "path": str(path), "backend": kind, "precision": "fp32"}
    try:
        row["bytes"] = path.stat().st_size
        if kind == "torch":
            row["parity"] = None  # it is what the others are measured against
            return row
        metadata = artifact.read(path).metadata
    except artifact.Foreign:
        return row | {"parity": None}
    except OSError as error:
        return row | {"error": f"{path} cannot be read: {error.strerror}"}
    except ArtifactError as error:
        return row | {"error": str(error)}
    report = metadata.parity or {}
    keys = ("passed", "max_abs", "device")
    return row | {"precision": metadata.precision, "parity": {key: report.get(key) for key in keys}}


def share_of_peak(row: Row, peak: float | None) -> float | None:
    """FLOP/s of generation over those of the matrix product; None where either is not known."""
    flops = row.get("flops")
    if not flops or not peak:
        return None
    return float(flops) * float(row["images_per_second"]) / peak
