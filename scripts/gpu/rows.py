"""Rows of the check: one JSON line each, known as soon as it is printed."""

import json
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

Row = dict[str, Any]

OK, MEASURED, FAILED = "ok", "measured", "FAILED"  # it held; a figure without a bound; it did not hold
CUT_OFF, NO_TIME, NOT_RUN = "cut off", "no time", "not run"  # ended at a limit; not begun for it; cannot be run here
BAD = (FAILED, CUT_OFF, NO_TIME)
RESULTS = "results.jsonl"
WHOLE = "whole stage"  # the name of a row that is about all of it


def plain(value: Any) -> Any:
    """As JSON can hold it: floats of four significant digits, those that are no numbers as text."""
    if isinstance(value, float):
        return float(f"{value:.4g}") if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {str(key): plain(held) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return [plain(held) for held in value]
    return value


def row_of(line: str) -> Row | None:
    """The row that a line holds; None for any other line."""
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) and {"stage", "row", "status"} <= row.keys() else None


@dataclass(frozen=True)
class Request:
    """What a stage is asked for.

    Args:
        stage: its name.
        device: cuda or cpu.
        tiny: small networks and few repeats: they show that the stage runs, and no figure worth having.
        out: the folder that keeps rows and files.
        seconds: the stage's limit.
    """

    stage: str
    device: str
    tiny: bool
    out: str
    seconds: float

    def to_json(self) -> str:
        """For the command line of the stage's process."""
        return json.dumps(asdict(self))


class Here:
    """A stage's own view of the check: what it was asked for, how much time is left, and where its rows go."""

    def __init__(self, request: Request, rows: TextIO):
        self.stage, self.tiny, self.out = request.stage, request.tiny, Path(request.out)
        self._device, self._rows = request.device, rows
        self._began, self._seconds = time.monotonic(), request.seconds

    @property
    def cuda(self) -> bool:
        """Whether it runs on a GPU."""
        return self._device == "cuda"

    @property
    def device(self) -> Any:
        """The torch device."""
        import torch

        return torch.device(self._device)

    def left(self) -> float:
        """Seconds until the limit."""
        return self._seconds - (time.monotonic() - self._began)

    def tell(self, row: str, ok: bool | None = None, status: str | None = None, **figures: object) -> None:
        """Prints a row. ``ok``: whether what it claims holds; None where it claims nothing."""
        status = status or {True: OK, False: FAILED, None: MEASURED}[ok]
        told = {"stage": self.stage, "row": row, "status": status, "seconds": time.monotonic() - self._began, **figures}
        self._rows.write(json.dumps(plain(told)) + "\n")
        self._rows.flush()

    def not_run(self, row: str, why: str) -> None:
        """Says what this machine cannot show."""
        self.tell(row, status=NOT_RUN, why=why)

    def short_of(self, row: str, seconds: float) -> bool:
        """Whether less than this is left: then the row says that there was no time for it."""
        if self.left() >= seconds:
            return False
        self.tell(row, status=NO_TIME, why=f"{self.left():.0f} s left of the stage's {self._seconds:.0f}")
        return True
