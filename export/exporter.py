"""`wgan export`: artifacts made from a checkpoint, each measured before it gets its name."""

import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import nn

from wgan.export import parity
from wgan.export.formats.onnx import OPSETS, to_onnx
from wgan.export.formats.torchscript import to_torchscript
from wgan.export.reference.fold import as_deployed, check_precision
from wgan.export.reference.generator import TrainedGenerator, save_generator
from wgan.serve.artifacts import artifact
from wgan.serve.artifacts.artifact import Artifact
from wgan.serve.artifacts.formats import CHECKPOINT, FORMATS
from wgan.serve.artifacts.metadata import OUTPUTS, ImageSpec, Latent, Metadata
from wgan.serve.backends.base import Backend
from wgan.serve.backends.open import open_artifact
from wgan.serve.backends.trt.build import OPTIMUM, BuildOptions, build_engine
from wgan.serve.base.errors import BackendUnavailable, ConfigError, ParityError
from wgan.serve.base.privacy import public_settings, without_paths
from wgan.serve.bench.precision import backend_speeds, hopeless, short_type
from wgan.training.config import AUTO
from wgan.training.report.parity import artifacts
from wgan.training.step.flops import generator_flops

MAX_BATCH = 256  # that parity tries, and an engine takes
REFERENCE = CHECKPOINT.file  # the generator that the folder's artifacts were made from


@dataclass(frozen=True)
class Exported:
    """An artifact in place, and what was measured of it."""

    path: Path
    metadata: Metadata
    notice: str | None = None  # what a user should know of how it ran
    leak: str | None = None  # that it names folders, where it does
    chosen: str | None = None  # with the precision `auto`: which it is, and why

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
        return artifact.summary(self.path, self.metadata)

    def _repr_html_(self) -> str:
        return artifacts([self.to_dict()])


def file_name(kind: str, precision: str, output: str = "float32") -> str:
    """`generator.onnx`, `generator.fp16.plan`, `generator.fp16.uint8.onnx`, …"""
    middle = [word for word, usual in ((precision, "fp32"), (output, "float32")) if word != usual]
    return ".".join(["generator", *middle]) + FORMATS[kind].ending


def export(
    generator: TrainedGenerator,
    folder: Path,
    kinds: Sequence[str],
    *,
    precision: str = "fp32",
    output: str = "float32",
    opset: int = 11,
    max_batch: int = MAX_BATCH,
    engine_options: BuildOptions | None = None,
    device: str = "auto",
) -> Iterator[Exported]:
    """Writes the asked-for artifacts and the reference they were measured against, one after the other.

    ``precision`` `auto` makes each in float32 and in a shorter type, times both on ``device`` and keeps the faster.
    ``output`` is float32 or uint8: pixels (N, H, W, C), made by the graph itself.
    ``engine_options`` says what a TensorRT engine may run on beside this machine; ``device`` what they are measured on.

    Raises:
        ConfigError: an unknown format, precision or output, or a batch out of range.
        ExportError: an artifact could not be made.
        OutputError: it cannot be written.
        ParityError: one does not match PyTorch; it is not written, an earlier one stays.
    """
    for kind in kinds:
        if kind not in EXPORTERS:
            raise ConfigError(f"--format {kind} is not one of {', '.join(EXPORTERS)}, all, triton")
    for kind in kinds:
        _check_precision(precision, kind)
    if output not in OUTPUTS:
        raise ConfigError(f"--output {output} is not one of {', '.join(OUTPUTS)}")
    if not 1 <= max_batch <= 65_536:
        raise ConfigError(f"--max-batch {max_batch} is outside its range, 1 to 65,536")
    save_generator(folder / REFERENCE, generator)
    for kind in kinds:
        recipe = _Recipe(folder, generator, kind, output, opset, max_batch, engine_options)
        if precision == AUTO:
            yield _faster(recipe, device)
        else:
            yield _prove_and_write(recipe.make(precision), generator, max_batch, device)


def _check_precision(precision: str, kind: str) -> None:
    if precision == AUTO:
        return
    check_precision(precision)
    if precision not in FORMATS[kind].precisions:
        raise ConfigError(
            f"--precision {precision} is not for {kind}: ONNX, which engines are built from too, has no such "
            f"convolutions at its opsets up to {OPSETS[1]}; use --format torchscript"
        )


@dataclass(frozen=True)
class _Made:
    """The bytes of an artifact that has no file yet."""

    path: Path
    payload: bytes
    metadata: Metadata

    def opened(self) -> Artifact:
        """As any user would read it."""
        return artifact.assembled(self.path, self.payload, self.metadata)


@dataclass(frozen=True)
class _Recipe:
    """All that an artifact is made from but its precision."""

    folder: Path
    generator: TrainedGenerator
    kind: str
    output: str
    opset: int
    max_batch: int
    engine_options: BuildOptions | None

    @property
    def image(self) -> ImageSpec:
        """What comes out of it."""
        config = self.generator.config
        return ImageSpec(config.image_size, config.image_size, config.channels).with_output(self.output)

    def module(self, precision: str) -> nn.Module:
        """What is to be written."""
        return as_deployed(self.generator.module, precision, self.output)

    def make(self, precision: str) -> _Made:
        """The artifact in ``precision``. Raises ExportError."""
        generator, kind, config = self.generator, self.kind, self.generator.config
        payload, described = EXPORTERS[kind](self, precision)
        metadata = Metadata(
            format=kind,
            precision=precision,
            latent=Latent(config.latent_dim),
            image=self.image,
            payload_sha256=artifact.payload_digest(kind, payload),
            classes=generator.classes,
            source={
                "step": generator.step,
                "checkpoint_sha256": generator.checkpoint_sha256,
                "weights_sha256": generator.weights_sha256,
                "ema": config.ema_decay > 0,
                "config": public_settings(config.to_dict()),
                "flops": generator_flops(config),  # an image
            },
            created_with=_versions(),
            **described,
        )
        return _Made(self.folder / file_name(kind, precision, self.output), payload, metadata)


def _torchscript(recipe: _Recipe, precision: str) -> tuple[bytes, dict[str, Any]]:
    conditional = recipe.generator.classes is not None
    latent_dim = recipe.generator.config.latent_dim
    return to_torchscript(recipe.module(precision), latent_dim, conditional=conditional), {}


def _onnx(recipe: _Recipe, precision: str) -> tuple[bytes, dict[str, Any]]:
    module, conditional = recipe.module(precision), recipe.generator.classes is not None
    latent_dim = recipe.generator.config.latent_dim
    payload = to_onnx(module, latent_dim, recipe.image.shape, recipe.opset, conditional=conditional)
    return payload, {"opset": recipe.opset}


def _engine(recipe: _Recipe, precision: str) -> tuple[bytes, dict[str, Any]]:
    graph, described = _onnx(recipe, precision)
    optimum = min(OPTIMUM, recipe.max_batch)
    engine = build_engine(graph, precision, optimum, recipe.max_batch, recipe.engine_options)
    return engine.plan, {**described, "max_batch": recipe.max_batch, "engine": engine.description}


# format → what writes it: (recipe, precision) → the payload, and what the metadata says of it beside the rest
EXPORTERS: dict[str, Callable[[_Recipe, str], tuple[bytes, dict[str, Any]]]] = {
    "onnx": _onnx,
    "torchscript": _torchscript,
    "trt": _engine,
}


def _faster(recipe: _Recipe, device: str) -> Exported:
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
        proven = _prove_and_write(made[speeds.choice], recipe.generator, recipe.max_batch, device)
    except ParityError as error:
        if speeds.choice == "fp32":
            raise
        line += f"; fp32 all the same, as {error}"
        proven = _prove_and_write(exact, recipe.generator, recipe.max_batch, device)
    return replace(proven, chosen=line)


def _open_timed(made: _Made, device: str) -> Backend:
    try:
        return open_artifact(made.opened(), device=device, trusted=True)
    except BackendUnavailable as error:
        if made.metadata.engine is None:  # only an engine may be built where it cannot run
            raise
        raise BackendUnavailable(
            f"--precision auto times engines, which cannot run here: name fp32 or fp16; {error}"
        ) from None


def _prove_and_write(made: _Made, generator: TrainedGenerator, max_batch: int, device: str) -> Exported:
    """Measures the bytes as any user would open them, and only then gives them their name."""
    path = made.path
    report, notice = _measure(made.opened(), generator, max_batch, device)
    if report["passed"] is False:
        failures = "; ".join(parity.failures(report))
        raise ParityError(f"{path.name} does not match PyTorch and was not written: {failures}")
    proven = made.metadata.replace(parity=report)
    artifact.write(path, made.payload, proven)
    return Exported(path, proven, notice)


def _measure(
    made: Artifact, generator: TrainedGenerator, max_batch: int, device: str
) -> tuple[dict[str, Any], str | None]:
    """The parity report, and what a user should know of how it ran."""
    try:
        backend = open_artifact(made, device=device, trusted=True)
    except BackendUnavailable as error:
        if made.metadata.engine is None:
            raise
        # kept inside it, wherever it may be copied
        return parity.not_measured(without_paths(str(error), made.path)), None
    with backend:
        return parity.measure(backend, generator.module, max_batch), backend.notice


def _versions() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "onnx": onnx.__version__,
        "numpy": np.__version__,
    }
