"""A run's `metrics.jsonl`: one JSON object a line, and every line whole or absent.

    {"kind": "train", "step", "images", "wasserstein", "penalty", "grad_norm", "critic_loss",
     "generator_loss", "images_per_second", "seconds"}
    {"kind": "validation", "step", "swd", "swd_levels": {"64": …}, "diversity", "sharpness", "seconds"}
    {"kind": "inception", "step", "fid", "kid", "kid_std", "inception_score", "inception_score_std", "images",
     "real_images", "inception_weights": SHA-256, "seconds"}   (of other weights: see `feature_distances.py`)
    {"kind": "nearest", "step", "distance", "closest", "real_distance", "ratio", "samples", "images", "shown":
     [[seed, distance], …], "seconds"}   (see `measures/nearest.py`)
    {"kind": "event", "step", "message"}, with "rule" if it is advice
    {"kind": "event", "step", "message", "data": {"digests": [before, now], "images": [before, now], "added",
     "removed", "altered", "renamed"}} where a run went on with changed data; counts, where they are known

A float that is not finite is written as null: NaN is not JSON. The seconds of training go on where a
resumed run left off; those of a validation are its own.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from wgan.serve.base.files import atomic_write
from wgan.serve.base.foreign_json import parse_json

Record = dict[str, Any]
AGES = 1e10  # seconds that no run has trained for: three centuries


def read(path: Path) -> list[Record]:
    """The records of ``path`` in their order; none if there is no such file.

    Lines that are not JSON objects are passed over: a killed process leaves half a line.
    """
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    return [record for line in lines if (record := _parse(line)) is not None]


def seconds(records: Sequence[Mapping[str, Any]]) -> float:
    """How long the run of these records had trained at the last of them."""
    totals = [record.get("seconds") for record in records if record.get("kind") == "train"]
    return max((float(value) for value in totals if isinstance(value, int | float) and 0 <= value < AGES), default=0.0)


class History:
    """Appends records to ``path``; `append` flushes each before it returns."""

    def __init__(self, path: Path):
        self.path = path
        _end_last_line(path)
        self._file = path.open("a", encoding="utf-8")

    def append(self, record: Mapping[str, Any]) -> None:
        """Writes one record; a kind, a step and whatever belongs to the kind."""
        self._file.write(_line(record))
        self._file.flush()

    def rewind(self, step: int) -> None:
        """Drops the records beyond ``step``: a resumed run writes them anew."""
        kept = [record for record in read(self.path) if _step(record) <= step]
        self._file.close()
        atomic_write(self.path, "".join(map(_line, kept)).encode())
        self._file = self.path.open("a", encoding="utf-8")

    def close(self) -> None:
        """Closes the file; the history cannot be written afterwards."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _line(record: Mapping[str, Any]) -> str:
    return json.dumps(_finite(record), ensure_ascii=False, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _parse(line: bytes) -> Record | None:
    try:
        record = parse_json(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def _step(record: Record) -> float:
    step = record.get("step")
    return step if isinstance(step, int | float) else -math.inf


def _end_last_line(path: Path) -> None:
    """Cuts off a half-written last line, which the next record would otherwise be glued to."""
    if not path.exists():
        return
    with path.open("r+b") as file:
        content = file.read()
        if content and not content.endswith(b"\n"):
            file.truncate(content.rfind(b"\n") + 1)
