"""Which run, which file: what a command uses when no path is given."""

from pathlib import Path

from wgan.serve.artifacts.formats import (
    BACKENDS,
    CHECKPOINT,
    FORMATS,
    backend_for,
    check_backend,
    format_by_ending,
    format_named,
)
from wgan.serve.base.command import command
from wgan.serve.base.errors import ArtifactError, ConfigError
from wgan.serve.base.fetched import as_typed

ROOT = Path("runs")
DEFAULT = "onnx"  # both a format and a backend: what runs everywhere
BUILT_IN = "faces"  # the generator that is installed with the package, as `--model` names it


def built_in() -> Path:
    """The generator that is installed with the package: faces of 64 px by hair colour, as ONNX in float16."""
    return Path(__file__).parents[1] / "builtin" / f"{BUILT_IN}.onnx"


def named(model: Path) -> Path:
    """The file that `--model` names."""
    return built_in() if model == Path(BUILT_IN) else model


def typed(path: Path) -> str:
    """What a user types after `--model` for this file."""
    return BUILT_IN if path == built_in() else str(as_typed(str(path)))


def run_name(path: Path) -> str | None:
    """The name of the run in whose export/ or checkpoints/ a file lies; None where it lies elsewhere."""
    folder = path.resolve().parent.parent
    return folder.name if (folder / "config.yaml").is_file() else None


def runs_under(root: Path = ROOT) -> list[Path]:
    """The configurations of the runs under ``root``."""
    return [path for path in root.glob("*/config.yaml") if path.is_file()]


def newest_run(root: Path = ROOT) -> Path:
    """The run under ``root`` that was started or resumed last.

    Raises:
        ConfigError: there is none.
    """
    configs = runs_under(root)
    if not configs:
        raise ConfigError(f"no run under {root}/: train one with `wgan train`, or name one with --run")
    return max(configs, key=lambda path: (path.stat().st_mtime_ns, path.parent.name)).parent


def endings() -> str:
    """Those that `--model` takes, as a list in words."""
    return ", ".join(row.ending for row in (*FORMATS.values(), CHECKPOINT))


def find_artifact(model: Path | None, run: Path | None, backend: str | None) -> tuple[Path, str]:
    """The file to sample from and the name of the backend that runs it.

    Args:
        model: a file, or None for one in the run's export folder; `BUILT_IN` is the generator of the package.
        run: a run folder, or None for the newest.
        backend: one of `BACKENDS`, or None for the first that runs the file (onnx without a file).

    Raises:
        ConfigError: an unknown backend, or one that does not run the file.
        ArtifactError: nothing exported there.
    """
    if backend is not None:
        check_backend(backend)
    if model is not None:
        model = named(model)
        row = format_by_ending(model)
        if row is None:
            raise ConfigError(
                f"--model {model}: the endings are {endings()}, or `{BUILT_IN}` for the built-in generator"
            )
        return model, backend_for(row.name, backend, model).name
    if run is not None and not run.is_dir():
        raise ConfigError(f"no run {run}: name another one with --run")
    folder = (run or newest_run()) / "export"
    runtime = BACKENDS[backend or DEFAULT]
    paths = [folder / format_named(kind).file for kind in runtime.formats]
    path = next((path for path in paths if path.exists()), None)
    if path is None:
        # the checkpoint comes with every export
        wanted = DEFAULT if runtime.formats[0] == CHECKPOINT.name else runtime.formats[0]
        way = command("export", "--format", wanted, "--run", folder.parent)
        raise ArtifactError(f"no {paths[0]}: run `{way}` first, or name a file with --model")
    return path, runtime.name
