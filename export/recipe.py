"""How an artifact's bytes are made from a generator, one function a format; nothing is measured or written yet."""

import os
import platform
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import onnx
import torch
from torch import nn

from wgan.export import parity
from wgan.export.formats.onnx import OPSETS, to_onnx
from wgan.export.formats.safetensors import to_safetensors
from wgan.export.formats.torchscript import to_torchscript
from wgan.export.formats.web.ort_web import ort_web
from wgan.export.formats.web.site import MOST, site
from wgan.export.reference.fold import as_deployed
from wgan.export.reference.generator import TrainedGenerator
from wgan.serve.artifacts import artifact, packed
from wgan.serve.artifacts.artifact import Artifact
from wgan.serve.artifacts.formats import FORMATS
from wgan.serve.artifacts.metadata import OUTPUTS, ImageSpec, Latent, Metadata
from wgan.serve.backends.open import open_artifact
from wgan.serve.backends.trt.build import OPTIMUM, BuildOptions, build_engine
from wgan.serve.base.command import or_again
from wgan.serve.base.errors import ConfigError, ParityError

MAX_BATCH = 256  # that parity tries, and an engine takes


def file_name(kind: str, precision: str, output: str = "float32") -> str:
    """`generator.onnx`, `generator.fp16.plan`, `generator.fp16.uint8.onnx`, …"""
    middle = [word for word, usual in ((precision, "fp32"), (output, "float32")) if word != usual]
    return ".".join(["generator", *middle]) + FORMATS[kind].ending


@dataclass(frozen=True)
class Made:
    """The bytes of an artifact that has no file yet."""

    path: Path
    payload: bytes
    metadata: Metadata

    def opened(self) -> Artifact:
        """The artifact as a user would read it."""
        return artifact.assembled(self.path, self.payload, self.metadata)

    def check(self, report: dict[str, Any]) -> None:
        """Raises ParityError where it does not hold."""
        if report["passed"] is False:
            failures = "; ".join(parity.failures(report))
            raise ParityError(f"{self.path.name} does not match PyTorch and was not written: {failures}")


class Choices(TypedDict, total=False):
    """What `Recipe` has a default for."""

    output: str
    opset: int
    max_batch: int
    engine_options: BuildOptions | None
    web_runtime: str | os.PathLike[str] | None


@dataclass(frozen=True)
class Recipe:
    """All that an artifact is made from but its precision.

    Args:
        folder: where its file is to lie.
        generator: what it is made of.
        kind: its format.
        output: float32, or uint8: pixels (N, H, W, C), made by the graph itself.
        opset: ONNX's operator set; engines are built from ONNX too.
        max_batch: the largest batch that an engine takes and parity tries.
        engine_options: what a TensorRT engine may run on beside this machine.
        web_runtime: the archive of ONNX Runtime Web; None: from the cache, or by npm.

    Raises:
        ConfigError: an unknown format or output, or a batch out of range.
    """

    folder: Path
    generator: TrainedGenerator
    kind: str
    output: str = "float32"
    opset: int = OPSETS[0]
    max_batch: int = MAX_BATCH
    engine_options: BuildOptions | None = None
    web_runtime: str | os.PathLike[str] | None = None

    def __post_init__(self) -> None:
        if self.kind not in EXPORTERS:
            apart = [name for name in EXPORTERS if name not in ALL]
            raise ConfigError(f"--format {self.kind} is not one of {', '.join([*ALL, 'all', *apart, 'triton'])}")
        if self.output not in OUTPUTS:
            raise ConfigError(f"--pixels {self.output} is not one of {', '.join(OUTPUTS)}")
        if self.output not in FORMATS[self.kind].outputs:
            way = or_again("--format", "onnx", of=("export",))
            raise ConfigError(f"--pixels {self.output} is not for {self.kind}, which holds weights alone: use {way}")
        if not 1 <= self.max_batch <= 65_536:
            raise ConfigError(f"--max-batch {self.max_batch} is outside its range, 1 to 65,536")

    @property
    def image(self) -> ImageSpec:
        """The image that it makes."""
        config = self.generator.config
        return ImageSpec(config.image_size, config.image_size, config.channels).with_output(self.output)

    def module(self, precision: str) -> nn.Module:
        """The network that is exported."""
        return as_deployed(self.generator.module, precision, self.output)

    def make(self, precision: str) -> Made:
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
            source=generator.source,
            created_with=_versions(),
            **described,
        )
        return Made(self.folder / file_name(kind, precision, self.output), payload, metadata)


def _torchscript(recipe: Recipe, precision: str) -> tuple[bytes, dict[str, Any]]:
    conditional = recipe.generator.classes is not None
    latent_dim = recipe.generator.config.latent_dim
    return to_torchscript(recipe.module(precision), latent_dim, conditional=conditional), {}


def _onnx(recipe: Recipe, precision: str) -> tuple[bytes, dict[str, Any]]:
    module, conditional = recipe.module(precision), recipe.generator.classes is not None
    latent_dim = recipe.generator.config.latent_dim
    payload = to_onnx(module, latent_dim, recipe.image.shape, recipe.opset, conditional=conditional)
    return payload, {"opset": recipe.opset}


def _engine(recipe: Recipe, precision: str) -> tuple[bytes, dict[str, Any]]:
    graph, described = _onnx(recipe, precision)
    optimum = min(OPTIMUM, recipe.max_batch)
    engine = build_engine(graph, precision, optimum, recipe.max_batch, recipe.engine_options)
    return engine.plan, {**described, "max_batch": recipe.max_batch, "engine": engine.description}


def _safetensors(recipe: Recipe, precision: str) -> tuple[bytes, dict[str, Any]]:
    return to_safetensors(recipe.module(precision)), {}


def _web(recipe: Recipe, precision: str) -> tuple[bytes, dict[str, Any]]:
    """The generator lies in the folder as an ONNX artifact, which holds by itself."""
    runtime = ort_web(None if recipe.web_runtime is None else Path(recipe.web_runtime))
    most = min(MOST, recipe.max_batch)  # a page draws no more at a time
    made = replace(recipe, kind="onnx").make(precision)
    with open_artifact(made.opened(), device="cpu", trusted=True) as backend:
        report = parity.measure(backend, recipe.generator.module, most)
    made.check(report)
    proven = made.metadata.replace(parity=report)
    graph = FORMATS["onnx"].container.join(made.payload, proven.to_json().encode())
    name = file_name("web", precision, recipe.output)
    files = site(graph, proven, name, parity.reference_of(recipe.generator.module), runtime)
    return packed.archive(files), {"opset": recipe.opset, "max_batch": most}


# format → what writes it: (recipe, precision) → the payload, and what the metadata says of it beside the rest
EXPORTERS: dict[str, Callable[[Recipe, str], tuple[bytes, dict[str, Any]]]] = {
    "onnx": _onnx,
    "torchscript": _torchscript,
    "trt": _engine,
    "safetensors": _safetensors,
    "web": _web,
}
ALL = [name for name in EXPORTERS if FORMATS[name].in_all]  # what `--format all` writes


def _versions() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "onnx": onnx.__version__,
        "numpy": np.__version__,
    }
