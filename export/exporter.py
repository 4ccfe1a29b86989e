"""`wgan export`: artifacts made from a checkpoint, each measured before it gets its name."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Unpack

from wgan.export import parity
from wgan.export.formats.onnx import OPSETS
from wgan.export.recipe import Choices, Made, Recipe
from wgan.export.reference.fold import check_precision
from wgan.export.reference.generator import TrainedGenerator, save_generator
from wgan.serve.artifacts import artifact
from wgan.serve.artifacts.artifact import Artifact
from wgan.serve.artifacts.formats import CHECKPOINT, FORMATS
from wgan.serve.artifacts.metadata import Metadata
from wgan.serve.backends.base import Backend
from wgan.serve.backends.open import open_artifact
from wgan.serve.base.command import or_again
from wgan.serve.base.errors import BackendUnavailable, ConfigError, ParityError
from wgan.serve.base.privacy import without_paths
from wgan.serve.bench.precision import backend_speeds, hopeless, short_type
from wgan.training.config import AUTO
from wgan.training.report.parity import artifacts

REFERENCE = CHECKPOINT.file  # the generator that the folder's artifacts were made from


@dataclass(frozen=True)
class Exported:
    """An artifact in place, and what was measured of it."""

    path: Path
    metadata: Metadata
    notice: str | None = None  # what a user should know of how it ran
    leak: str | None = None  # that it names folders, where it does
    chosen: str | None = None  # with the precision `auto`: which it is, and why
    changed: bool = False  # whether the file was changed since its export and is still no artifact
    adopted: bool = False  # whether it was, until now

    @property
    def passed(self) -> bool | None:
        """Whether parity holds; None where it could not be measured."""
        passed: bool | None = (self.metadata.parity or {}).get("passed")
        return passed

    @property
    def failures(self) -> list[str]:
        """The gates that do not hold, in words."""
        return [] if self.passed is not False else parity.failures(dict(self.metadata.parity or {}))

    @property
    def parity(self) -> dict[str, Any]:
        """The report: what was measured against PyTorch, the gates, and whether they hold."""
        return dict(self.metadata.parity or {})

    def to_dict(self) -> dict[str, Any]:
        """For `--json` and the report page."""
        return artifact.summary(self.path, self.metadata) | {"changed": self.changed, "adopted": self.adopted}

    def _repr_html_(self) -> str:
        return artifacts([self.to_dict()])


def export(
    generator: TrainedGenerator,
    folder: Path,
    kinds: Sequence[str],
    *,
    precision: str = "fp32",
    device: str = "auto",
    **choices: Unpack[Choices],
) -> Iterator[Exported]:
    """Writes the asked-for artifacts and the reference they were measured against, one after the other.

    Args:
        generator: what they are made of.
        folder: where they are written.
        kinds: their formats.
        precision: what they compute in; with `auto` each is made in float32 and in a shorter type, both are timed on
            ``device``, and the faster is kept.
        device: what they are measured on.
        choices: see `Recipe`.

    Raises:
        ConfigError: an unknown format, precision or output, or a batch out of range.
        ExportError: an artifact could not be made.
        OutputError: it cannot be written.
        ParityError: one does not match PyTorch; it is not written, an earlier one stays.
    """
    recipes = [Recipe(folder, generator, kind, **choices) for kind in kinds]
    for kind in kinds:
        _check_precision(precision, kind)
    save_generator(folder / REFERENCE, generator)
    for recipe in recipes:
        if precision == AUTO:
            yield _faster(recipe, device)
        else:
            yield _prove_and_write(recipe.make(precision), recipe, device)


def _check_precision(precision: str, kind: str) -> None:
    if precision == AUTO:
        return
    check_precision(precision)
    if precision not in FORMATS[kind].precisions:
        raise ConfigError(
            f"--precision {precision} is not for {kind}: ONNX, which engines are built from too, has no such "
            f"convolutions at its opsets up to {OPSETS[1]}; use {or_again('--format', 'torchscript', of=('export',))}"
        )


def _faster(recipe: Recipe, device: str) -> Exported:
    """The artifact in float32 or in a shorter type, whichever is faster here; `chosen` says why."""
    exact = recipe.make("fp32")
    made = {"fp32": exact}
    with _open_timed(exact, device) as backend:
        # a format without bfloat16 emulates nothing: ONNX Runtime on a CPU computes float16 in float32
        emulates = "bf16" in FORMATS[recipe.kind].precisions
        short = short_type(backend.device) if emulates else "fp16"
        speeds = hopeless(backend.device) if emulates else None
        if speeds is None:
            made[short] = recipe.make(short)
            with _open_timed(made[short], device) as other:
                speeds = backend_speeds({"fp32": backend, short: other})
    line = f"{recipe.kind}: {speeds.line('--precision auto')}"
    try:
        proven = _prove_and_write(made[speeds.choice], recipe, device)
    except ParityError as error:
        if speeds.choice == "fp32":
            raise
        line += f"; fp32 all the same, as {error}"
        proven = _prove_and_write(exact, recipe, device)
    return replace(proven, chosen=line)


def _open_timed(made: Made, device: str) -> Backend:
    try:
        return open_artifact(made.opened(), device=device, trusted=True)
    except BackendUnavailable as error:
        if not FORMATS[made.metadata.format].container.beside:  # only those may be made where they cannot run
            raise
        raise BackendUnavailable(
            f"--precision auto times artifacts, which cannot run here: name fp32 or fp16; {error}"
        ) from None


def _prove_and_write(made: Made, recipe: Recipe, device: str) -> Exported:
    """Measures the bytes as any user would open them, and only then gives them their name."""
    path = made.path
    report, notice = _measure(made.opened(), recipe, device)
    made.check(report)
    proven = made.metadata.replace(parity=report)
    artifact.write(path, made.payload, proven)
    return Exported(path, proven, notice)


def _measure(made: Artifact, recipe: Recipe, device: str) -> tuple[dict[str, Any], str | None]:
    """The parity report, and what a user should know of how it ran."""
    try:
        backend = open_artifact(made, device=device, trusted=True)
    except BackendUnavailable as error:
        if not FORMATS[made.metadata.format].container.beside:  # where the report of another machine has no place
            raise
        # kept inside it, wherever it may be copied
        return parity.not_measured(without_paths(error.why, made.path)), None
    with backend:
        most = made.metadata.max_batch or recipe.max_batch
        return parity.measure(backend, recipe.generator.module, most), backend.notice
