"""Finds and opens a generator for the face: any artifact, a checkpoint, or an ONNX file of another program."""

from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from wgan.serve.base.address import Address, Place
from wgan.serve.base.command import command
from wgan.serve.base.errors import ArtifactError, BackendUnavailable, ConfigError, ParityError
from wgan.serve.base.terminal import say

if TYPE_CHECKING:
    from wgan.serve.artifacts.metadata import Metadata
    from wgan.serve.backends.base import Backend, Options
    from wgan.serve.backends.open import Readable


def need_training() -> None:
    """Refuses what trains or exports where the `train` extra is missing.

    Raises:
        BackendUnavailable: names the package and the extra.
    """
    for package in ("torch", "yaml", "onnx"):
        if find_spec(package) is None:
            raise BackendUnavailable(f"this command needs {package}", extra="train")


def find_model(
    model: Place | None, run: Path | None, backend: str | None, *, device: str = "auto", rebuild: bool = False
) -> tuple[Path, str]:
    """The file to sample from and the name of the backend that runs it.

    Where nothing is named and there is no run, it is the built-in generator. A run that has an ONNX file and no engine
    yet gets one where the `trt` backend is asked for. ``rebuild`` builds an engine that is there and does not fit this
    machine. All three are said on stderr. What an address names is fetched into the user's cache.

    Raises:
        WganError: as `find_artifact`, and as the build of an engine raises it.
    """
    from wgan.serve.artifacts.find import BUILT_IN, DEFAULT, find_artifact, newest_run, runs_under

    if isinstance(model, Address):
        model = _fetched(model, backend, rebuild)
    if model is None and run is None and backend in (None, DEFAULT) and not runs_under():
        say(f"no run here: this is the built-in generator, --model {BUILT_IN}; `wgan train` trains another")
        model = Path(BUILT_IN)
    if backend == "trt" and model is None and device != "cpu":
        from wgan.serve.artifacts.formats import FORMATS
        from wgan.serve.backends.trt.fit import build_missing, onnx_beside

        engine = (run or newest_run()) / "export" / FORMATS["trt"].file
        if not engine.is_file() and onnx_beside(engine).is_file():
            build_missing(engine, say)
            return engine, backend
    path, kind = find_artifact(model, run, backend)
    if rebuild:
        _rebuild(path, kind)
    return path, kind


def _fetched(address: Address, backend: str | None, rebuild: bool) -> Path:
    """The artifact of an address, in the cache; what cannot be run is refused before it is fetched."""
    from wgan.serve.artifacts.find import endings
    from wgan.serve.artifacts.formats import backend_for, format_by_ending
    from wgan.serve.artifacts.remote import local

    row = format_by_ending(address)
    if row is None:
        raise ConfigError(f"--model {address}: the endings are {endings()}")
    backend_for(row.name, backend, address)
    if rebuild:
        way = command("export", "--format", "trt")
        raise ConfigError(
            f"--rebuild writes the engine in its place, and {address} is no file of this machine: `{way}` builds one "
            "here, or copy it with its ONNX file"
        )
    return local(address)


def _rebuild(path: Path, kind: str) -> None:
    if kind != "trt":
        raise ConfigError(f"--rebuild is for TensorRT engines, not for {path}")
    from wgan.serve.backends.trt.fit import rebuild_if_needed

    built = rebuild_if_needed(path, say)
    say(f"built {path} for this machine" if built else f"{path} fits this machine: not built again")


def open_model(
    path: Path,
    backend: str,
    device: str,
    precision: str = "fp32",
    options: "Options | None" = None,
    *,
    changed: bool = False,
) -> "Backend":
    """An artifact or a checkpoint, with the backend that `find_model` named, ready to run.

    A checkpoint in another ``precision`` is measured against itself in float32, and the figures are said. With `auto`
    both are timed. An artifact that was changed since its export is run only where ``changed`` allows it.

    Raises:
        WganError: as the backends raise it.
    """
    from wgan.serve.artifacts.formats import BACKENDS, is_checkpoint
    from wgan.serve.backends.open import open_any, refuse_options

    if backend == "torch":
        refuse_options(options, BACKENDS[backend], path)
        need_training()
    if precision != "fp32":
        if is_checkpoint(path):
            from wgan.export.reference.reduced import in_words, open_faster, open_reduced

            live = open_faster(path, device, say) if precision == "auto" else open_reduced(path, device, precision)
            if live.metadata.precision != "fp32":
                say(in_words(live))
            return live
        raise _has_precision(path, precision)
    return open_any(path, backend=backend, device=device, options=options, changed=changed)


def exported(path: Path, backend: str, precision: str = "fp32", *, changed: bool = False) -> "Readable":
    """What is in an exported file, for other machines to open as `open_model` does.

    Raises:
        ConfigError: a checkpoint, or a ``precision``, which is for checkpoints.
        ArtifactError: as reading it raises it; or its weights lie in other files.
    """
    from wgan.serve.artifacts.artifact import Foreign
    from wgan.serve.artifacts.containers import Damaged
    from wgan.serve.artifacts.external_data import external_files
    from wgan.serve.artifacts.formats import export_command, is_checkpoint
    from wgan.serve.backends.open import read_any

    if is_checkpoint(path):
        raise ConfigError(
            f"other machines run exported files, and {path} needs training's code: `{export_command(path)}`"
        )
    if precision != "fp32":
        raise _has_precision(path, precision)
    model = read_any(path, changed=changed)
    if isinstance(model, Foreign) and model.kind == "onnx":
        with suppress(Damaged):  # which opening it tells
            if external_files(path, model.data):
                raise ArtifactError(f"{path} has its weights in other files: for other machines save it as one file")
    return model


def _has_precision(path: Path, precision: str) -> ConfigError:
    from wgan.serve.artifacts.formats import format_by_ending

    kind = getattr(format_by_ending(path), "name", "onnx")
    return ConfigError(
        f"--precision {precision} is for checkpoints: {path} has the precision that it was exported in; "
        f"one of that precision is made by `{command('export', '--format', kind, '--precision', precision)}`"
    )


def unproven(path: Path, metadata: "Metadata") -> str | None:
    """What a user must know of an artifact's parity with PyTorch; None where it holds, or there is none to hold."""
    if metadata.proven or metadata.format == "torch":
        return None
    measure = command("verify", "--model", path)
    if not metadata.disproven:
        return f"{path} was not measured against PyTorch where it was made: run `{measure}` here"
    report = metadata.parity or {}
    figures = "" if report.get("max_abs") is None else f" (max error {report['max_abs']:.1e} on {report.get('device')})"
    return f"{path} does NOT match PyTorch{figures}"


def edited(path: Path, metadata: "Metadata") -> str | None:
    """That an artifact was edited after its export, and what that costs; None where it was not, or nobody knows yet."""
    mark, report = metadata.edited, metadata.parity or {}
    if mark is None or not metadata.proven:
        return None
    by = f" by {mark['by']}" if mark.get("by") else ""
    psnr = report.get("worst_psnr_db")
    figure = "" if psnr is None else f", worst PSNR {psnr:.0f} dB"
    return f"{path} was edited after its export{by} and measured again: computes in {metadata.precision}{figure}"


def cautions(opened: "Backend") -> list[str]:
    """What a user must know before images are made: how it runs, what it assumes, whether it was measured, edited.

    Raises:
        ParityError: it was measured and does not match PyTorch.
    """
    lines = [] if opened.notice is None else [opened.notice]
    if opened.assumes is not None:  # of a file that is not ours
        return [*lines, opened.assumes]
    doubt = unproven(opened.path, opened.metadata)
    if doubt is not None and opened.metadata.disproven:
        from wgan.serve.artifacts.formats import export_command

        measure = command("verify", "--model", opened.path)
        ways = f"export it again, `{export_command(opened.path)}`, or measure it again, `{measure}`"
        raise ParityError(f"{doubt}: no images are made of it; {ways}")
    return [*lines, *filter(None, (doubt, edited(opened.path, opened.metadata)))]
