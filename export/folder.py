"""Every artifact of a folder measured, whatever is wrong with some of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wgan.export import exporter
from wgan.serve.artifacts.artifact import list_folder
from wgan.serve.base.errors import ArtifactError, WganError


@dataclass(frozen=True)
class Refused:
    """A file that could not be measured, and why."""

    path: Path
    reason: str
    notice: None = None
    leak: None = None

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {"file": self.path.name, "path": str(self.path), "error": self.reason}


Row = exporter.Exported | Refused


def verify_folder(folder: Path, *, device: str = "auto") -> list[Row]:
    """`verify` for each artifact in a folder, by name.

    Raises:
        ArtifactError: there is none.
    """
    files = list_folder(folder)
    if not files:
        raise ArtifactError(f"nothing exported in {folder}: run `wgan export --format onnx` first")
    rows: list[Row] = []
    for path in files:
        try:
            rows.append(exporter.verify(path, device=device, required=False))
        except WganError as error:
            rows.append(Refused(path, str(error)))
    return rows


def passed(rows: Sequence[Row]) -> bool | None:
    """Whether all of them hold: False if one does not or was refused, otherwise None if one was not measured."""
    verdicts = [False if isinstance(row, Refused) else row.passed for row in rows]
    return False if False in verdicts else None if None in verdicts else True


def why_not(row: Row) -> str:
    """What kept an artifact from being measured, in a line that names it."""
    reason = row.reason if isinstance(row, Refused) else (row.metadata.parity or {}).get("reason") or "never tried"
    return str(reason) if str(row.path) in str(reason) else f"{row.path}: {reason}"
