"""Exported files: read before any runtime sees them, and refused unless their bytes are those that were exported."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wgan.serve.artifacts import packed
from wgan.serve.artifacts.containers import Damaged
from wgan.serve.artifacts.formats import FORMATS, Format, export_command, format_by_ending
from wgan.serve.artifacts.metadata import Metadata, parse
from wgan.serve.artifacts.origin import Origin
from wgan.serve.base.command import command
from wgan.serve.base.errors import ArtifactError
from wgan.serve.base.files import atomic_write
from wgan.serve.base.terminal import say


@dataclass(frozen=True)
class Artifact:
    """An exported file whose bytes are what its metadata records."""

    path: Path
    metadata: Metadata
    data: bytes


class Foreign(ArtifactError):
    """A file of a known format that wgan did not write: its bytes ``data``, and ``digest``, their SHA-256."""

    def __init__(self, path: Path, kind: str, data: bytes, digest: str):
        message = f"{path} carries no wgan metadata: it was not exported by wgan"
        if why := FORMATS[kind].never_foreign:
            message += f"; {why}"
        super().__init__(message)
        self.path, self.kind, self.data, self.digest = path, kind, data, digest

    def __reduce__(self) -> tuple[Any, ...]:  # an error is unpickled from its message alone
        return Foreign, (self.path, self.kind, self.data, self.digest)


class Changed(ArtifactError):
    """A file with whole metadata about another payload: a tool edited it, or it is damaged.

    Only of a format that says what a changed file of it is (`Format.as_changed`): ``digest`` is the SHA-256 of the
    payload in ``data``, the file's bytes, and ``metadata`` what it was exported with.
    """

    def __init__(self, path: Path, metadata: Metadata, data: bytes, digest: str):
        adopt = command("verify", "--adopt", "--model", path)
        super().__init__(
            f"{path} was changed since its export (or damaged): `{adopt}` measures it against PyTorch and makes it an "
            f"artifact again if it matches; otherwise copy it again, or run `{export_command(path)}`"
        )
        self.path, self.metadata, self.data, self.digest = path, metadata, data, digest

    def __reduce__(self) -> tuple[Any, ...]:
        return Changed, (self.path, self.metadata, self.data, self.digest)


def format_of(path: Path) -> str:
    """The name of the artifact format that the file's ending means.

    Raises:
        ArtifactError: an ending that is none of ours.
    """
    return _row(path).name


def _row(path: Path) -> Format:
    row = format_by_ending(path)
    if row is None or row.name not in FORMATS:
        endings = ", ".join(row.ending for row in FORMATS.values())
        raise ArtifactError(f"{path}: not an artifact; the endings are {endings}")
    return row


def read(path: Path) -> Artifact:
    """The artifact in a file, checked.

    Raises:
        ArtifactError: missing, unreadable, truncated, altered, or of a newer schema.
        Changed: of one of the formats that allow it, with whole metadata about another payload.
        Foreign: without metadata.
    """
    row = _row(path)
    try:
        data = packed.pack(path) if row.container.folder else path.read_bytes()
    except packed.NotPacked as error:
        raise ArtifactError(f"{path} is not as it was exported: {error}") from None
    except FileNotFoundError:
        raise ArtifactError(f"no file {path}: run `{export_command(path)}`, or name another with --model") from None
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror}") from None
    except MemoryError:
        raise _too_large(path) from None
    beside = None
    if row.container.beside:
        with suppress(OSError):
            beside = sidecar(path).read_bytes()
    return _checked(path, data, beside)


def assembled(path: Path, payload: bytes, metadata: Metadata) -> Artifact:
    """The artifact that `read` would return after `write`, made without a file. Raises ArtifactError as `read`."""
    text = metadata.to_json().encode()
    return _checked(path, FORMATS[metadata.format].container.join(payload, text), text)


def _checked(path: Path, data: bytes, beside: bytes | None) -> Artifact:
    """A file's bytes, and those of the metadata that lies beside a plan, as an artifact."""
    row = _row(path)
    try:
        text, digest = row.container.split(data)
    except Damaged as error:
        raise ArtifactError(
            f"{path} is damaged or no {error} file: copy it again, or run `{export_command(path)}`"
        ) from None
    except MemoryError:
        raise _too_large(path) from None
    if row.container.beside:
        text = beside
    if text is None:
        raise Foreign(path, row.name, data, digest)
    metadata = parse(text, str(path))
    if metadata.format != row.name:
        raise ArtifactError(f"{path} holds {metadata.format}, its ending says {row.name}: rename it")
    if metadata.payload_sha256 != digest:
        if row.as_changed:
            raise Changed(path, metadata, data, digest)
        again = f"copy it again, or run `{export_command(path)}`"
        raise ArtifactError(f"{path} is damaged: its bytes are not those that were exported; {again}")
    return Artifact(path, metadata, data)


def _too_large(path: Path) -> ArtifactError:
    return ArtifactError(f"{path} is larger than the memory that is free here: free some, or take a smaller file")


def is_artifact(path: Path) -> bool:
    """Whether there is a file, or a folder that is one artifact, as the ending says; its content is not looked at."""
    row = format_by_ending(path)
    return path.is_dir() if row is not None and row.container.folder else path.is_file()


def holds_artifacts(path: Path) -> bool:
    """Whether it is a folder that is not one artifact itself."""
    return path.is_dir() and not is_artifact(path)


def list_folder(folder: Path) -> list[Path]:
    """The artifacts in a folder, by name; their content is not looked at."""
    endings = {row.ending for row in FORMATS.values()}
    return sorted(path for path in folder.glob("generator*") if path.suffix in endings)


def summary(path: Path, metadata: Metadata) -> dict[str, Any]:
    """An artifact in a few words: for `--json` and the report page."""
    origin = Origin.of(metadata.source)
    return {
        "file": path.name,
        "path": str(path),
        "format": metadata.format,
        "precision": metadata.precision,
        "classes": metadata.classes,
        "output": metadata.image.dtype,
        "bytes": size_of(path),
        "parity": metadata.parity,
        "edited": None if metadata.edited is None else dict(metadata.edited),
        "origin": None if origin is None else origin.to_source(),
    }


def published(metadata: Metadata) -> dict[str, Any]:
    """What anybody may know of an artifact: of its training only its step and its scores."""
    image, origin = metadata.image, Origin.of(metadata.source)
    return {
        "format": metadata.format,
        "precision": metadata.precision,
        "opset": metadata.opset,
        "latent": {"dim": metadata.latent.dim, "distribution": metadata.latent.distribution},
        "image": {"height": image.height, "width": image.width, "channels": image.channels, "dtype": image.dtype},
        "classes": None if metadata.classes is None else list(metadata.classes),
        "origin": None if origin is None else origin.to_source(),
    }


def size_of(path: Path) -> int:
    """Bytes of an artifact: of a folder those of its files."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) or path.stat().st_size


def write(path: Path, payload: bytes, metadata: Metadata) -> None:
    """Writes an artifact whole or not at all.

    Args:
        path: the file; a plan's metadata goes beside it. A folder that was there and is not an export, or no longer as
            it was exported, is moved aside.
        payload: the bytes as the exporter made them, without metadata.
        metadata: its ``payload_sha256`` must be `payload_digest` of them.

    Raises:
        OutputError: it cannot be written; a file that was there before is untouched.
    """
    container = FORMATS[metadata.format].container
    if container.folder:
        _write_folder(path, payload, metadata)
        return
    # the plan first: a sidecar without its plan would be refused, a plan without one only unknown
    atomic_write(path, container.join(payload, metadata.to_json().encode()))
    if container.beside:
        write_sidecar(path, metadata)


def _write_folder(path: Path, payload: bytes, metadata: Metadata) -> None:
    ours = False
    with suppress(ArtifactError):
        ours = read(path).metadata.format == metadata.format
    kept = packed.unpack(path, payload, metadata.to_json().encode(), ours=ours)
    if kept is not None:
        say(f"{path} was not as it had been exported: what was there is now {kept}")


def write_sidecar(path: Path, metadata: Metadata) -> None:
    """Writes the metadata of a plan, or of a folder."""
    atomic_write(sidecar(path), metadata.to_json().encode())


def payload_digest(kind: str, payload: bytes) -> str:
    """SHA-256 of an artifact's content without its metadata, in hex."""
    return FORMATS[kind].container.split(payload)[1]


def sidecar(path: Path) -> Path:
    """Where the metadata of a plan, or of a folder, lies."""
    if _row(path).container.folder:
        return path / packed.METADATA
    return path.with_name(path.name + ".json")
