"""`wgan verify`: one artifact, or every artifact of a folder, measured again."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from wgan.export import parity
from wgan.export.adopt import adopted
from wgan.export.exporter import REFERENCE, Exported
from wgan.export.formats.torchscript import names_folders
from wgan.export.recipe import MAX_BATCH
from wgan.export.reference.generator import TrainedGenerator, load_generator
from wgan.serve.artifacts import artifact
from wgan.serve.artifacts.artifact import Artifact, Changed, list_folder
from wgan.serve.artifacts.changed import as_found
from wgan.serve.artifacts.formats import FORMATS, export_command
from wgan.serve.artifacts.metadata import Metadata
from wgan.serve.backends.open import open_artifact, open_changed
from wgan.serve.base.address import Address, Place
from wgan.serve.base.errors import ArtifactError, BackendUnavailable, CheckpointError, ConfigError, WganError
from wgan.serve.base.owner import FOREVER, own
from wgan.serve.base.privacy import public_source, without_paths
from wgan.serve.base.terminal import say


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


Row = Exported | Refused


def verify_file(
    path: Path, reference: Path | None = None, *, device: str = "auto", required: bool = True, adopt: bool = False
) -> Exported:
    """Measures an artifact anew against the generator that it was exported from.

    One that was changed since its export is measured as it is now, and held to the gates of what it computes in now.
    An engine that is not proven yet gets the report into its metadata, which then names no folders.

    Args:
        path: the artifact.
        reference: the generator; by default `generator.pt` beside the artifact.
        device: what to run it on.
        required: whether it is an error that this machine cannot run it; otherwise the report says so.
        adopt: whether one that was changed, and that holds, becomes an artifact again.

    Returns:
        The artifact with a fresh report, which has ``passed`` False where a gate does not hold.

    Raises:
        ArtifactError: it is damaged, or the reference is not what it was made from.
        BackendUnavailable: ``required`` and it cannot run here.
        CheckpointError: there is no reference.
        OutputError: a report cannot be written.
    """
    try:
        found, changed = artifact.read(path), None
    except Changed as error:
        found, changed = as_found(error), error
    metadata = found.metadata
    if (metadata.precision, "cpu") not in parity.GATES:
        raise ArtifactError(
            f"{path} was changed since its export and computes in {metadata.precision}: no gates for that"
        )
    generator = _generator(path, metadata, reference)
    _check_describes(path, metadata, generator)
    try:
        backend = (open_changed if changed else open_artifact)(found, device=device)
    except BackendUnavailable as error:
        if required:
            raise
        unmeasured = metadata.replace(parity=parity.not_measured(str(error)))
        return Exported(path, unmeasured, leak=_leak(found), changed=changed is not None)
    with backend:
        report = parity.measure(backend, generator.module, metadata.max_batch or MAX_BATCH)
    measured = Exported(
        path,
        metadata.replace(parity=report, source=public_source(metadata.source)),
        backend.notice,
        changed=changed is not None,
    )
    if changed is not None and adopt and measured.passed:
        return adopted(measured, found, changed)
    if FORMATS[metadata.format].container.beside and not metadata.proven:
        # built where it could not run, or measured where it did not hold: from now on it carries this report
        artifact.write_sidecar(path, measured.metadata)
        return measured
    return replace(measured, leak=_leak(found))


def _generator(path: Path, metadata: Metadata, reference: Path | None) -> TrainedGenerator:
    """What an artifact is measured against, which is what it was exported from."""
    beside = path.with_name(REFERENCE)
    if reference is None and not beside.exists():
        raise CheckpointError(
            f"no checkpoint {beside}, which {path} is measured against: copy it there, or name it with --reference"
        )
    generator = load_generator(reference or beside)
    if metadata.source.get("weights_sha256") != generator.weights_sha256:
        raise ArtifactError(
            f"{path} was not exported from {reference or beside}: name its generator with --reference, or run "
            f"`{export_command(path)}`"
        )
    return generator


def verify_folder(
    folder: Path,
    reference: Path | None = None,
    *,
    device: str = "auto",
    adopt: bool = False,
    kind: str | None = None,
) -> list[Row]:
    """`verify_file` for each artifact in a folder, or for those of the format ``kind``, by name.

    Raises:
        ArtifactError: there is none.
        ConfigError: there is no such format.
    """
    if kind is not None and kind not in FORMATS:
        raise ConfigError(f"--format {kind} is not one of {', '.join(FORMATS)}")
    files = [path for path in list_folder(folder) if kind is None or artifact.format_of(path) == kind]
    if not files:
        what, way = "nothing" if kind is None else f"no {kind}", export_command(folder / FORMATS[kind or "onnx"].file)
        raise ArtifactError(f"{what} exported in {folder}: run `{way}` first")
    rows: list[Row] = []
    for path in files:
        try:
            rows.append(verify_file(path, reference, device=device, required=False, adopt=adopt))
        except WganError as error:
            rows.append(Refused(path, str(error)))
    return rows


def refuse_adopting(place: Place | None, adopt: bool) -> None:
    """Refuses to write into what is no file of this machine. Raises ConfigError."""
    if adopt and isinstance(place, Address):
        raise ConfigError(f"--adopt writes into the file, and {place} is in a bucket: copy it here, then back")


def verify_place(
    place: Path,
    reference: Path | None = None,
    *,
    alone: bool,
    device: str = "auto",
    adopt: bool = False,
    kind: str | None = None,
) -> list[Row]:
    """`verify_file` where ``place`` is one artifact, ``alone``, otherwise `verify_folder`; nobody writes there then."""
    if alone and kind is not None and artifact.format_of(place) != kind:
        raise ConfigError(f"--format {kind} is not the format of {place}")
    with own(place.parent if alone else place, say, patience=FOREVER, shared=not adopt):
        if alone:
            return [verify_file(place, reference, device=device, adopt=adopt)]
        return verify_folder(place, reference, device=device, adopt=adopt, kind=kind)


def passed(rows: Sequence[Row]) -> bool | None:
    """Whether all of them hold: False if one does not or was refused, otherwise None if one was not measured."""
    verdicts = [False if isinstance(row, Refused) else row.passed for row in rows]
    return False if False in verdicts else None if None in verdicts else True


def why_not(row: Row) -> str:
    """What kept an artifact from being measured, in a line that names it."""
    reason = row.reason if isinstance(row, Refused) else (row.metadata.parity or {}).get("reason") or "never tried"
    return str(reason) if str(row.path) in str(reason) else f"{row.path}: {reason}"


def _leak(exported: Artifact) -> str | None:
    """A warning where an artifact names folders of the machine that made it, as an earlier wgan's do; else None."""
    source, report = exported.metadata.source, exported.metadata.parity or {}
    reason = str(report.get("reason") or "")
    traced = exported.metadata.format == "torchscript" and names_folders(exported.data)
    if not traced and public_source(source) == source and without_paths(reason) == reason:
        return None
    way = f"before you pass it on run `{export_command(exported.path)}`"
    return f"{exported.path} names folders of the machine that made it: {way}"


def _check_describes(path: Path, metadata: Metadata, generator: TrainedGenerator) -> None:
    """Refuses metadata that gives the generator other inputs or outputs than it has."""
    config, image = generator.config, metadata.image
    for name, said, real in (
        ("latent.dim", metadata.latent.dim, config.latent_dim),
        ("image", (image.height, image.width, image.channels), (config.image_size, config.image_size, config.channels)),
        ("classes", metadata.classes, generator.classes),
    ):
        if said != real:
            way = export_command(path)
            raise ArtifactError(f"{path}: metadata field {name} is not the generator's: run `{way}`")
