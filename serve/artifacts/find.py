"""Which run, which file: what a command uses when no path is given."""

from pathlib import Path

from wgan.serve.artifacts.artifact import SUFFIXES
from wgan.serve.base.errors import ArtifactError, ConfigError

ROOT = Path("runs")
BACKENDS = {"onnx": "generator.onnx", "torchscript": "generator.ts", "trt": "generator.plan", "torch": "generator.pt"}


def newest_run(root: Path = ROOT) -> Path:
    """The run under ``root`` that was begun or gone on with last.

    Raises:
        ConfigError: there is none.
    """
    configs = [path for path in root.glob("*/config.yaml") if path.is_file()]
    if not configs:
        raise ConfigError(f"no run under {root}/: train one with `wgan train`, or name one with --run")
    return max(configs, key=lambda path: (path.stat().st_mtime_ns, path.parent.name)).parent


def find_artifact(model: Path | None, run: Path | None, backend: str | None) -> tuple[Path, str]:
    """The file to sample from and its backend's name.

    Args:
        model: a file, or None for one in the run's export folder.
        run: a run folder, or None for the newest.
        backend: one of `BACKENDS`, or None to go by the file's ending (onnx without a file).

    Raises:
        ConfigError: an unknown backend, or one that does not fit the file.
        ArtifactError: nothing exported there.
    """
    if backend is not None and backend not in BACKENDS:
        raise ConfigError(f"--backend {backend} is not one of {', '.join(BACKENDS)}")
    if model is not None:
        kind = "torch" if model.suffix == ".pt" else SUFFIXES.get(model.suffix.lower())
        if kind is None:
            endings = ", ".join([*SUFFIXES, ".pt"])
            raise ConfigError(f"--model {model}: the endings are {endings}")
        if backend is not None and backend != kind:
            raise ConfigError(f"--backend {backend} cannot run {model}, which is for {kind}")
        return model, kind
    folder = (run or newest_run()) / "export"
    kind = backend or "onnx"
    path = folder / BACKENDS[kind]
    if not path.is_file():
        wanted = "onnx" if kind == "torch" else kind
        raise ArtifactError(f"no {path}: run `wgan export --format {wanted}` first, or name a file with --model")
    return path, kind
