"""The table of formats, and the table of the backends that run them. Everything else looks them up here.

A new backend is a folder under `serve/backends`, a row of `BACKENDS`, and an extra in pyproject.toml.
"""

import importlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wgan.serve.artifacts import containers
from wgan.serve.artifacts.containers import Container
from wgan.serve.base.address import Place
from wgan.serve.base.command import command
from wgan.serve.base.errors import BackendUnavailable, ConfigError


@dataclass(frozen=True)
class Format:
    """A kind of file that a generator can be stored in.

    Args:
        name: as `--format` takes it and metadata gives it.
        ending: of its files, with the dot.
        precisions: what its graph can compute in.
        container: how its bytes and the metadata are joined and split.
        never_foreign: why a file of it that wgan did not write is never run, where that needs saying.
        as_changed: `package.module:name` of what takes a `Changed` file of it for the `Artifact` that it is now; empty
            where a changed one is refused: loading it would run what is in it.
        edited_precisions: what a tool may have made its graph compute in, beside those.
        outputs: what can come out of it, of `OUTPUTS` of the metadata.
        in_all: whether `--format all` writes it.
    """

    name: str
    ending: str
    precisions: tuple[str, ...]
    container: Container
    never_foreign: str = ""
    as_changed: str = ""
    edited_precisions: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ("float32", "uint8")
    in_all: bool = True

    @property
    def file(self) -> str:
        """The name that `wgan export` gives its file in float32."""
        return f"generator{self.ending}"


@dataclass(frozen=True)
class BackendRow:
    """Something that runs generators. Its paths are `package.module:name`, imported when they are used.

    Args:
        name: as `--backend` takes it.
        formats: the names of the formats that it runs; the first is the one that it takes where no file is named.
        devices: what it can run on, of cpu and cuda.
        extras: the package's extras that install it, the usual one first.
        opens: an `Opener` (see `serve.backends.base`).
        verdict: (device, driver) → with what it runs here, or what keeps it from it; for `wgan doctor`.
        options: the fields of `Options` that it takes.
        opens_foreign: the same as ``opens`` for a `Foreign` file, where it runs files that wgan did not write.
    """

    name: str
    formats: tuple[str, ...]
    devices: tuple[str, ...]
    extras: tuple[str, ...]
    opens: str
    verdict: str
    options: tuple[str, ...] = ()
    opens_foreign: str | None = None

    def load(self, path: str) -> Any:
        """What one of its paths names.

        Raises:
            BackendUnavailable: a package that it needs is not installed.
        """
        module, _, name = path.partition(":")
        try:
            return getattr(importlib.import_module(module), name)
        except ModuleNotFoundError as error:
            raise BackendUnavailable(f"the {self.name} backend needs {error.name}", extra=self.extras[0]) from None


def _by_name(rows: Iterable[Any]) -> dict[str, Any]:
    return {row.name: row for row in rows}


# ONNX has no bfloat16 convolutions before opset 22, and ONNX Runtime none at all on a CPU
FORMATS: dict[str, Format] = _by_name(
    [
        Format(
            "onnx",
            ".onnx",
            ("fp32", "fp16"),
            containers.ONNX,
            as_changed="wgan.serve.artifacts.onnx_graph:as_found",
            edited_precisions=("bf16", "int8"),
        ),
        Format(
            "torchscript",
            ".ts",
            ("fp32", "fp16", "bf16"),
            containers.TORCHSCRIPT,
            "a TorchScript file is a program that loading runs, so wgan loads its own alone",
        ),
        Format("trt", ".plan", ("fp32", "fp16"), containers.PLAN),
        Format(
            "safetensors",
            ".safetensors",
            ("fp32", "fp16", "bf16"),
            containers.SAFETENSORS,
            "it holds numbers alone, and which network they belong to is in that metadata",
            as_changed="wgan.serve.artifacts.changed:data_alone",
            outputs=("float32",),
        ),
        # not among all: ONNX Runtime Web's files may have to be fetched first
        Format("web", ".web", ("fp32", "fp16"), containers.FOLDER, in_all=False),
    ]
)

# what training writes: no artifact, and without metadata
CHECKPOINT = Format("torch", ".pt", ("fp32", "fp16", "bf16"), containers.BARE)

BACKENDS: dict[str, BackendRow] = _by_name(
    [
        BackendRow(
            "onnx",
            formats=("onnx",),
            devices=("cpu", "cuda"),
            extras=("onnx", "onnx-cpu"),
            opens="wgan.serve.backends.onnxrt.backend:open_onnx",
            verdict="wgan.serve.backends.onnxrt.verdict:verdict",
            options=("provider", "threads"),
            opens_foreign="wgan.serve.backends.onnxrt.stranger:open_stranger",
        ),
        BackendRow(
            "torchscript",
            formats=("torchscript",),
            devices=("cpu", "cuda"),
            extras=("train",),
            opens="wgan.serve.backends.pytorch.torchscript:open_torchscript",
            verdict="wgan.serve.backends.pytorch.verdict:torchscript_verdict",
        ),
        BackendRow(
            "trt",
            formats=("trt",),
            devices=("cuda",),
            extras=("trt", "trt-rtx"),
            opens="wgan.serve.backends.trt.backend:open_engine",
            verdict="wgan.serve.backends.trt.verdict:verdict",
        ),
        BackendRow(
            "torch",
            formats=("torch", "safetensors"),
            devices=("cpu", "cuda"),
            extras=("train",),
            # needs the networks, which stand above this folder: the path is only a name until one is opened
            opens="wgan.export.reference.torch_backend:open_torch",
            verdict="wgan.serve.backends.pytorch.verdict:torch_verdict",
        ),
        BackendRow(
            "browser",
            formats=("web",),
            devices=("cpu",),
            extras=(),
            opens="wgan.serve.backends.browser.backend:open_browser",
            verdict="wgan.serve.backends.browser.verdict:verdict",
        ),
    ]
)


def format_by_ending(path: Place) -> Format | None:
    """The format that the file's ending means, checkpoints among them; None for an unknown ending."""
    rows = (*FORMATS.values(), CHECKPOINT)
    return next((row for row in rows if row.ending == path.suffix.lower()), None)


def is_checkpoint(path: Path) -> bool:
    """Whether the file's ending says that training wrote it: a generator, but no artifact."""
    return format_by_ending(path) == CHECKPOINT


def format_named(name: str) -> Format:
    """The row of a format; its name must be in the table."""
    return CHECKPOINT if name == CHECKPOINT.name else FORMATS[name]


def backends_of(kind: str) -> list[BackendRow]:
    """The backends that run the format of this name; the first is the default."""
    return [row for row in BACKENDS.values() if kind in row.formats]


def check_backend(name: str, option: str = "--backend") -> None:
    """Raises ConfigError, which names ``option``, for an unknown backend."""
    if name not in BACKENDS:
        raise ConfigError(f"{option} {name} is not one of {', '.join(BACKENDS)}")


def backend_for(kind: str, asked: str | None, path: Place) -> BackendRow:
    """The backend that runs a file of the format ``kind``: as asked, else the first that does.

    Raises:
        ConfigError: it is unknown, or does not run this format; ``path`` is named.
    """
    rows = backends_of(kind)
    if asked is None:
        return rows[0]
    check_backend(asked)
    if BACKENDS[asked] not in rows:
        names = " or ".join(row.name for row in rows)
        raise ConfigError(f"--backend {asked} cannot run {path}, which is for {names}")
    return BACKENDS[asked]


def export_command(path: Path) -> str:
    """The command that writes the artifact of this path: of the run that it lies in, or else of the newest."""
    row, precision = format_by_ending(path), path.stem.rpartition(".")[2]
    run = path.parent.parent if path.parent.name == "export" else None
    where = ("--run", run) if run is not None and (run / "config.yaml").is_file() else ("--out", path.parent)
    reduced = ("--precision", precision) if row is not None and precision in row.precisions[1:] else ()
    kind = "onnx" if row is None or row == CHECKPOINT else row.name  # the checkpoint comes with every export
    return command("export", "--format", kind, *reduced, *where)


def extras() -> list[str]:
    """Every extra that installs a backend, each once."""
    return list(dict.fromkeys(extra for row in BACKENDS.values() for extra in row.extras))
