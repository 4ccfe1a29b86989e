"""A Triton model repository around one proven artifact, which a server may be reading while it is written.

    <folder>/<model>/config.pbtxt, labels.txt, 1/model.onnx or model.plan, 2/…
    <folder>/<model>_seeds/config.pbtxt, 1/model.py and what it needs
    <folder>'s neighbour client.py

A version is a folder that is renamed into place when it is whole, and never written to again.
"""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from wgan.export.formats.triton.config import LABELS, config_text, file_name
from wgan.export.formats.triton.run_line import run_line
from wgan.export.formats.triton.seeds import client_text, seeds_config, seeds_files, seeds_name
from wgan.export.formats.triton.settings import ALONE, FORMATS_OF, Settings
from wgan.serve.artifacts import artifact
from wgan.serve.base.errors import ConfigError, ExportError
from wgan.serve.base.files import atomic_write, sync_folder, writing

CLIENT = "client.py"


@dataclass(frozen=True)
class Written:
    """What `write_repository` made.

    Args:
        model: the generator's folder in the repository.
        version: the one that it now has as its newest.
        seeds: the folder of its companion, which takes seeds.
        client: a program that asks the companion for images.
    """

    model: Path
    version: int
    seeds: Path
    client: Path

    def facts(self, settings: Settings) -> dict[str, object]:
        """For `--json`: the repository, the names in it, and the command that starts a server on it."""
        repository = self.model.parent
        return {
            "repository": str(repository),
            "model": self.model.name,
            "version": self.version,
            "seeds": self.seeds.name,
            "client": str(self.client),
            "command": run_line(repository, settings),
        }


def write_repository(source: Path, folder: Path, settings: Settings) -> Written:
    """Puts an exported artifact, byte for byte, into a model repository, with a companion that takes seeds.

    One process at a time may write to a repository; servers may read it.

    Args:
        source: the artifact; its stem names the model.
        folder: the repository; other models in it are left alone.
        settings: as `Settings.check` passes them.

    Raises:
        ConfigError: Triton's backend does not serve this format.
        ExportError: the artifact is not proven, or is an engine that Triton cannot load.
        OutputError: it cannot be written.
    """
    settings.check()
    exported = artifact.read(source)
    metadata = exported.metadata
    if metadata.format != FORMATS_OF[settings.backend]:
        raise ConfigError(f"--triton-backend {settings.backend} serves no {metadata.format}: {source}")
    runtime = (metadata.engine or {}).get("runtime")
    if settings.backend == "tensorrt" and runtime != "tensorrt":
        raise ExportError(f"{source} is an engine of {runtime}, {ALONE}")
    if not metadata.proven:
        reason = (metadata.parity or {}).get("reason") or "it does not match PyTorch"
        raise ExportError(f"{source} is not proven and is not served: {reason}")
    model = folder / source.stem.replace(".", "_")
    labels = {}
    if metadata.classes is not None:
        lines = [" ".join(name.split()) for name in metadata.classes]
        labels[LABELS] = "".join(f"{name}\n" for name in lines).encode()
    config = config_text(model.name, metadata, settings).encode()
    version = _put_model(model, labels | {"config.pbtxt": config}, {file_name(settings): exported.data})
    if not labels:  # of another generator that had this name
        (model / LABELS).unlink(missing_ok=True)
    seeds = folder / seeds_name(model.name)
    _put_model(seeds, {"config.pbtxt": seeds_config(model.name, metadata, settings).encode()}, seeds_files())
    client = folder.parent / CLIENT
    atomic_write(client, client_text(model.name).encode())
    return Written(model, version, seeds, client)


def _put_model(model: Path, files: Mapping[str, bytes], content: Mapping[str, bytes]) -> int:
    """Brings a model up to date by steps after each of which a server finds it whole; returns its newest version.

    Args:
        model: its folder.
        files: of the folder itself, in the order in which they are written: the configuration last.
        content: the files of a version. They become a new one unless the newest is the same.
    """
    newest = max(_versions(model), default=0)
    same = newest > 0 and _content(model / str(newest)) == content
    version = newest if same else newest + 1
    with writing(model), _staging(model.parent) as new:
        if not same:
            for name, data in content.items():
                atomic_write(new / str(version) / name, data)
        if not model.is_dir():
            for name, data in files.items():
                atomic_write(new / name, data)
            new.rename(model)
        elif not same:
            (new / str(version)).rename(model / str(version))
        sync_folder(model)
        sync_folder(model.parent)
    for name, data in files.items():
        if not (model / name).is_file() or (model / name).read_bytes() != data:
            atomic_write(model / name, data)
    return version


@contextmanager
def _staging(repository: Path) -> Iterator[Path]:
    """A folder for what is not whole yet: beside the repository, as a folder in it would be a model."""
    folder = repository.with_name(f".{repository.name}.new")
    shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed
    repository.mkdir(parents=True, exist_ok=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _versions(model: Path) -> list[int]:
    """The numbers of the versions that a model has."""
    if not model.is_dir():
        return []
    return [int(entry.name) for entry in model.iterdir() if entry.name.isdecimal() and entry.is_dir()]


def _content(folder: Path) -> dict[str, bytes]:
    """The files below a folder, by their names."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
