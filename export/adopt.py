"""A file that a tool changed becomes an artifact again: its fresh report is written into it, whole or not at all."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from wgan.export.exporter import Exported
from wgan.serve.artifacts import artifact
from wgan.serve.artifacts.artifact import Artifact, Changed
from wgan.serve.artifacts.formats import FORMATS
from wgan.serve.base.command import command
from wgan.serve.base.errors import ArtifactError


def adopted(measured: Exported, found: Artifact, changed: Changed) -> Exported:
    """Writes what was measured into the file, in place.

    Args:
        measured: its report holds.
        found: what was measured, complete alone: weights that lay beside the file are in it from now on.
        changed: the file as it was read.

    Raises:
        ArtifactError: the file was changed again meanwhile.
        OutputError: it cannot be written; the file stays as it was.
    """
    path = changed.path
    strip = FORMATS[found.metadata.format].container.strip
    assert strip is not None  # as of every format whose files may be changed
    if not path.is_file() or path.read_bytes() != changed.data:
        raise ArtifactError(f"{path} was changed again while it was measured: nothing is written; measure it again")
    artifact.write(path, strip(found.data), measured.metadata)
    return replace(measured, changed=False, adopted=True)


def in_words(row: Exported) -> str | None:
    """What was done to a file since its export, and what may be done with it now; None where nothing was."""
    mark = row.metadata.edited
    if mark is None:
        return None
    name, by = row.path.name, f" by {mark['by']}" if mark.get("by") else ""
    precision, before = row.metadata.precision, mark.get("exported_precision")
    computes = f"computes in {precision}" + ("" if before in (None, precision) else f", was exported in {before}")
    if row.adopted:
        return f"{name}: changed since its export{by}, {computes}; this report is in it now: an artifact again"
    if not row.changed:
        return f"{name}: edited after its export{by}, {computes}"
    if not row.passed:
        return f"{name}: changed since its export{by}, {computes}"
    way = command("verify", "--adopt", "--model", row.path)
    return f"{name}: changed since its export{by}, {computes}; `{way}` makes it an artifact again"


def not_adopted(rows: Sequence[Exported | Any]) -> list[str]:
    """What kept files from becoming artifacts again, where that was asked for: a line a file."""
    lines = []
    for row in rows:
        if not isinstance(row, Exported) or row.adopted:
            continue
        if not row.changed:
            lines.append(f"{row.path} was not changed since its export: nothing to adopt")
        elif row.passed is False:
            lines.append(f"{row.path} does not hold: nothing is written into it")
    return lines
