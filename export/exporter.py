"""`wgan export` and `wgan verify`: artifacts made from a checkpoint, each measured before it gets its name."""

import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

from wgan.export import parity
from wgan.export.formats.onnx import OPSETS, to_onnx
from wgan.export.formats.torchscript import names_folders, to_torchscript
from wgan.export.reference.fold import as_deployed, check_precision
from wgan.export.reference.generator import TrainedGenerator, load_generator, save_generator
from wgan.serve.artifacts import artifact
from wgan.serve.artifacts.artifact import Artifact
from wgan.serve.artifacts.metadata import OUTPUTS, PRECISIONS, ImageSpec, Latent, Metadata
from wgan.serve.backends.base import Backend
from wgan.serve.backends.open import open_artifact, open_backend
from wgan.serve.backends.trt.build import OPTIMUM, BuildOptions, build_engine
from wgan.serve.base.errors import ArtifactError, BackendUnavailable, ConfigError, ParityError
from wgan.serve.base.privacy import public_settings, public_source, without_paths
from wgan.serve.bench.precision import backend_speeds, hopeless, short_type
from wgan.training.config import AUTO
from wgan.training.step.flops import generator_flops

ENDINGS = {"onnx": ".onnx", "torchscript": ".ts", "trt": ".plan"}
REFERENCE = "generator.pt"  # the generator that the folder's artifacts were made from


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

    def to_dict(self) -> dict[str, Any]:
        """For `--json` and the report page."""
        return artifact.summary(self.path, self.metadata)


def file_name(kind: str, precision: str, output: str = "float32") -> str:
    """`generator.onnx`, `generator.fp16.plan`, `generator.fp16.uint8.onnx`, …"""
    middle = [word for word, usual in ((precision, "fp32"), (output, "float32")) if word != usual]
    return ".".join(["generator", *middle]) + ENDINGS[kind]


def export(
    generator: TrainedGenerator,
    folder: Path,
    kinds: Sequence[str],
    *,
    precision: str = "fp32",
    output: str = "float32",
    opset: int = 11,
    max_batch: int = 256,
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
        if kind not in ENDINGS:
            raise ConfigError(f"--format {kind} is not one of {', '.join(ENDINGS)}, all, triton")
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
    if precision not in PRECISIONS[kind]:
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

    def make(self, precision: str) -> _Made:
        """The artifact in ``precision``. Raises ExportError."""
        generator, kind, config = self.generator, self.kind, self.generator.config
        module = as_deployed(generator.module, precision, self.output)
        image = ImageSpec(config.image_size, config.image_size, config.channels).with_output(self.output)
        conditional = generator.classes is not None
        extra: dict[str, Any] = {}
        if kind == "torchscript":
            payload = to_torchscript(module, config.latent_dim, conditional=conditional)
        else:
            payload = to_onnx(module, config.latent_dim, image.shape, self.opset, conditional=conditional)
            extra["opset"] = self.opset
        if kind == "trt":
            optimum = min(OPTIMUM, self.max_batch)
            engine = build_engine(payload, precision, optimum, self.max_batch, self.engine_options)
            payload = engine.plan
            extra |= {"max_batch": self.max_batch, "engine": engine.description}
        metadata = Metadata(
            format=kind,
            precision=precision,
            latent=Latent(config.latent_dim),
            image=image,
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
            **extra,
        )
        return _Made(self.folder / file_name(kind, precision, self.output), payload, metadata)


def _faster(recipe: _Recipe, device: str) -> Exported:
    """The artifact in float32 or in a shorter type, whichever is faster here; `chosen` says why."""
    exact = recipe.make("fp32")
    made = {"fp32": exact}
    with _open_timed(exact, device) as backend:
        short = short_type(backend.device) if recipe.kind == "torchscript" else "fp16"
        # ONNX Runtime emulates nothing: on a CPU it computes float16 in float32
        found = hopeless(backend.device) if recipe.kind == "torchscript" else None
        if found is None:
            made[short] = recipe.make(short)
            with _open_timed(made[short], device) as other:
                found = backend_speeds({"fp32": backend, short: other})
    line = f"{recipe.kind}: {found.line('--precision auto')}"
    try:
        proven = _prove_and_write(made[found.choice], recipe.generator, recipe.max_batch, device)
    except ParityError as error:
        if found.choice == "fp32":
            raise
        line += f"; fp32 all the same, as {error}"
        proven = _prove_and_write(exact, recipe.generator, recipe.max_batch, device)
    return replace(proven, chosen=line)


def _open_timed(made: _Made, device: str) -> Backend:
    try:
        return open_artifact(made.opened(), device=device, trusted=True)
    except BackendUnavailable as error:
        if made.metadata.format != "trt":
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
        if made.metadata.format != "trt":
            raise
        # kept inside it, wherever it may be copied
        return parity.not_measured(without_paths(str(error), made.path)), None
    with backend:
        return parity.measure(backend, generator.module, max_batch), backend.notice


def verify(path: Path, reference: Path | None = None, *, device: str = "auto", required: bool = True) -> Exported:
    """Measures an artifact anew against the generator that it was exported from.

    An engine that is not proven yet gets the report into its metadata, which then names no folders.

    Args:
        path: the artifact.
        reference: the generator; by default `generator.pt` beside the artifact.
        device: what to run it on.
        required: whether it is an error that this machine cannot run it; otherwise the report says so.

    Returns:
        The artifact with a fresh report, which has ``passed`` False where a gate does not hold.

    Raises:
        ArtifactError: it is damaged, or the reference is not what it was made from.
        BackendUnavailable: ``required`` and it cannot run here.
    """
    made = artifact.read(path)
    found = made.metadata
    generator = load_generator(reference or path.with_name(REFERENCE))
    if found.source.get("weights_sha256") != generator.weights_sha256:
        raise ArtifactError(f"{path} was not exported from {reference or path.with_name(REFERENCE)}: export it again")
    _check_describes(path, found, generator)
    try:
        backend: Backend = open_backend(path, device=device)
    except BackendUnavailable as error:
        if required:
            raise
        return Exported(path, found.replace(parity=parity.not_measured(str(error))), leak=_leak(made))
    with backend:
        report = parity.measure(backend, generator.module, found.max_batch or 256)
    measured = found.replace(parity=report, source=public_source(found.source))
    if found.format == "trt" and not found.proven:
        # built where it could not run, or measured where it did not hold: from now on it carries this report
        artifact.write_sidecar(path, measured)
        return Exported(path, measured, backend.notice)
    return Exported(path, measured, backend.notice, _leak(made))


def _leak(made: Artifact) -> str | None:
    """A line where an artifact names folders of the machine that made it, as those of an earlier wgan do."""
    source, report = made.metadata.source, made.metadata.parity or {}
    reason = str(report.get("reason") or "")
    traced = made.metadata.format == "torchscript" and names_folders(made.data)
    if not traced and public_source(source) == source and without_paths(reason) == reason:
        return None
    return f"{made.path} names folders of the machine that made it: export it again before you pass it on"


def _check_describes(path: Path, found: Metadata, generator: TrainedGenerator) -> None:
    """Refuses metadata that gives the generator other inputs or outputs than it has."""
    config, image = generator.config, found.image
    for name, said, real in (
        ("latent.dim", found.latent.dim, config.latent_dim),
        ("image", (image.height, image.width, image.channels), (config.image_size, config.image_size, config.channels)),
        ("classes", found.classes, generator.classes),
    ):
        if said != real:
            raise ArtifactError(f"{path}: metadata field {name} is not the generator's: export it again")


def _versions() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "onnx": onnx.__version__,
        "numpy": np.__version__,
    }
