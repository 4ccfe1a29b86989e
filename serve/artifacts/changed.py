"""What a file that was changed since its export is now, as its format finds out."""

import importlib
from collections.abc import Callable

from wgan.serve.artifacts.artifact import Artifact, Changed, format_of
from wgan.serve.artifacts.formats import FORMATS


def as_found(changed: Changed) -> Artifact:
    """The artifact that a changed file is now: complete alone, nothing measured, ``edited`` saying what it was.

    Raises:
        ArtifactError: it is damaged, or no more what its metadata says.
    """
    module, _, name = FORMATS[format_of(changed.path)].as_changed.partition(":")
    found: Callable[[Changed], Artifact] = getattr(importlib.import_module(module), name)
    return found(changed)


def data_alone(changed: Changed) -> Artifact:
    """`as_found` of a format that holds numbers and nothing that computes: all else is as it was exported."""
    known = changed.metadata
    return Artifact(
        changed.path, known.replace(payload_sha256=changed.digest, parity=None, edited=mark(changed)), changed.data
    )


def mark(changed: Changed, by: str | None = None) -> dict[str, str | None]:
    """What an edited file says of it: what it was exported as, which later edits leave, and by which tool, if known."""
    known = changed.metadata
    first = known.edited or {"exported_sha256": known.payload_sha256, "exported_precision": known.precision}
    return {**first, "by": by}
