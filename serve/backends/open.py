"""Opens a generator with the backend that runs it, as the table of backends names it."""

from pathlib import Path

from wgan.serve.artifacts import artifact
from wgan.serve.artifacts.artifact import Artifact, Changed, Foreign
from wgan.serve.artifacts.changed import as_found
from wgan.serve.artifacts.formats import BACKENDS, CHECKPOINT, BackendRow, backend_for, is_checkpoint
from wgan.serve.backends.base import Backend, ForeignOpener, Opener, Options, check_device
from wgan.serve.base.command import command
from wgan.serve.base.errors import ArtifactError, BackendError, BackendUnavailable, ConfigError

Readable = Artifact | Changed | Foreign  # what a file may hold


def open_backend(
    path: Path, *, backend: str | None = None, device: str = "auto", options: Options | None = None
) -> Backend:
    """Opens an artifact or a checkpoint.

    Args:
        path: the file; its ending names its format.
        backend: what is to run it; None for the first that can.
        device: auto, cpu or cuda.
        options: how the backend is to run it; only those that it takes may be set.

    Raises:
        ArtifactError: the file is missing, damaged, changed since its export or not ours.
        CheckpointError: the same of a checkpoint.
        BackendUnavailable: the runtime is not installed or cannot run here.
        ConfigError: an unknown device or backend, or options that this backend does not take.
    """
    check_device(device)
    if not is_checkpoint(path):
        return open_artifact(artifact.read(path), backend=backend, device=device, options=options)
    return _open(backend_for(CHECKPOINT.name, backend, path), path, device, options)


def open_any(
    path: Path,
    *,
    backend: str | None = None,
    device: str = "auto",
    options: Options | None = None,
    changed: bool = True,
) -> Backend:
    """`open_backend`, and for a file without metadata of wgan, or one ``changed``, what its backend makes of it.

    Only of formats and backends that take such files. What nothing vouches for is in the backend's ``assumes``.

    Raises:
        ArtifactError: as `open_backend`, or a foreign file that is no generator of images, or a changed one that is no
            more what its metadata says, or that does not load.
    """
    if is_checkpoint(path):
        return open_backend(path, backend=backend, device=device, options=options)
    check_device(device)
    return open_read(read_any(path, changed=changed), backend=backend, device=device, options=options)


def read_any(path: Path, *, changed: bool = True) -> Readable:
    """What is in the file of an artifact, or in one without metadata or changed, for `open_read`, here or elsewhere.

    Raises ArtifactError as `open_any`.
    """
    try:
        return artifact.read(path)
    except Changed as error:
        if not changed:
            raise
        return error
    except Foreign as foreign:
        return foreign


def open_read(
    model: Readable, *, backend: str | None = None, device: str = "auto", options: Options | None = None
) -> Backend:
    """Opens what `read_any` returned. Raises as `open_any`."""
    if isinstance(model, Artifact):
        return open_artifact(model, backend=backend, device=device, options=options)
    if isinstance(model, Changed):
        return open_changed(as_found(model), backend=backend, device=device, options=options)
    row = backend_for(model.kind, backend, model.path)
    if row.opens_foreign is None:
        raise model
    refuse_options(options, row, model.path)
    opener: ForeignOpener = row.load(row.opens_foreign)
    return opener(model, device, options or Options())


def open_changed(
    found: Artifact, *, backend: str | None = None, device: str = "auto", options: Options | None = None
) -> Backend:
    """`open_artifact` for what a changed file was found to be.

    Raises:
        ArtifactError: it does not load; it may be damaged.
    """
    was_changed = f"{found.path} was changed since its export (or damaged)"
    try:
        opened = open_artifact(found, backend=backend, device=device, options=options)
    except BackendUnavailable:
        raise
    except BackendError as error:
        raise ArtifactError(f"{was_changed} and does not run: {error}") from None
    measure = command("verify", "--model", found.path)
    opened.assumes = f"{was_changed}, and not measured since: `{measure}` shows what that costs"
    return opened


def open_artifact(
    opened: Artifact,
    *,
    backend: str | None = None,
    device: str = "auto",
    options: Options | None = None,
    trusted: bool = False,
) -> Backend:
    """`open_backend` for what has been read, or was made here and has no file yet.

    ``trusted``: this process made it, so a version-compatible engine may run the code that it brings.

    Raises:
        BackendUnavailable, ConfigError: as `open_backend`.
    """
    check_device(device)
    row = backend_for(opened.metadata.format, backend, opened.path)
    return _open(row, opened, device, options, trusted)


def _open(
    row: BackendRow, model: Artifact | Path, device: str, options: Options | None, trusted: bool = False
) -> Backend:
    refuse_options(options, row, model if isinstance(model, Path) else model.path)
    opener: Opener = row.load(row.opens)
    return opener(model, device, options or Options(), trusted)


def refuse_options(options: Options | None, row: BackendRow, path: Path) -> None:
    """Refuses options that are set and that the backend in ``row``, which is to run ``path``, does not take.

    Raises:
        ConfigError: names the option and the backends that take it.
    """
    for name, value in vars(options or Options()).items():
        if value is not None and name not in row.options:
            takers = " or ".join(other.name for other in BACKENDS.values() if name in other.options)
            raise ConfigError(f"--{name} is for the {takers} backend, and {path} is run by {row.name}")
