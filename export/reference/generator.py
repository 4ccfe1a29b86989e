"""A trained generator out of a checkpoint, ready to run: what export reads and `--backend torch` runs."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wgan.export.reference.fold import as_deployed, check_precision
from wgan.serve.artifacts.metadata import ImageSpec, Latent, Metadata
from wgan.serve.backends.base import Backend
from wgan.serve.backends.memory import runtime_failure
from wgan.serve.backends.pytorch.device import exact_float32, torch_device, why_cpu
from wgan.serve.backends.pytorch.pieces import PIECE, Pieces
from wgan.serve.base.errors import CheckpointError
from wgan.serve.base.privacy import public_settings
from wgan.training.config import Config, from_dict
from wgan.training.networks import Generator, Stage
from wgan.training.records import checkpoint
from wgan.training.step.flops import generator_flops


@dataclass(frozen=True)
class TrainedGenerator:
    """The averaged generator of a checkpoint, in eval mode on the CPU, and where it came from."""

    module: Generator
    config: Config
    step: int
    checkpoint_sha256: str
    classes: tuple[str, ...] | None = None

    def with_data_name(self, name: str | None) -> "TrainedGenerator":
        """The same generator, whose artifacts call the data by this name; None leaves it as it is.

        Raises:
            ConfigError: no such name can be given.
        """
        return self if name is None else replace(self, config=self.config.replace(data_name=name))

    @property
    def weights_sha256(self) -> str:
        """Digest of all its numbers, whatever file holds them."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.module.state_dict().items()):
            digest.update(name.encode() + tensor.detach().cpu().numpy().tobytes())
        return digest.hexdigest()


def load_generator(path: Path) -> TrainedGenerator:
    """The generator in a training checkpoint, or in the `generator.pt` of an export folder.

    Raises:
        CheckpointError: missing, damaged, or not a checkpoint of wgan.
    """
    state, digest = checkpoint.load_with_sha256(path)
    try:
        config = from_dict(state["config"])
        classes = tuple(str(name) for name in state["classes"]) if state["classes"] else None
        _check_grown(path, config, state["stage"])
        module = plain(config, classes, state["ema"])
        step = int(state["step"])
    except (AttributeError, KeyError, OverflowError, RuntimeError, TypeError, ValueError) as error:
        reason = shorten(str(error), 200, placeholder=" …")
        raise CheckpointError(f"{path} holds no generator that this wgan knows: {reason}") from None
    origin = state.get("checkpoint_sha256") or digest
    return TrainedGenerator(module.eval().requires_grad_(False), config, step, str(origin), classes)


def plain(config: Config, classes: tuple[str, ...] | None, weights: Mapping[str, Any]) -> Generator:
    """A generator without what only training needs: of a grown one the last head alone, spectral norms divided out."""
    normed = any(".parametrizations." in name for name in weights)
    config = config.replace(
        progressive=False, activation_checkpointing=False, spectral_norm=config.spectral_norm if normed else "none"
    )
    module = Generator(config, len(classes or ()))
    other_heads = re.compile(rf"heads\.(?!{config.image_size}\.)")
    module.load_state_dict({name: value for name, value in weights.items() if not other_heads.match(name)})
    module.settle_spectral_norms()
    return module


def _check_grown(path: Path, config: Config, stage: Mapping[str, Any]) -> None:
    if stage["resolution"] != config.image_size or stage["alpha"] < 1:
        raise CheckpointError(
            f"{path} is still growing: it has reached {stage['resolution']} of {config.image_size} px, "
            f"{stage['alpha']:.0%} faded in; train on until it is whole"
        )


def save_generator(path: Path, generator: TrainedGenerator) -> None:
    """Writes the generator alone: the reference that artifacts are measured against."""
    state: Mapping[str, Any] = {
        "config": public_settings(generator.config.to_dict()),
        "ema": generator.module.state_dict(),
        "classes": list(generator.classes) if generator.classes else None,
        "stage": vars(Stage(generator.config.image_size)),
        "step": generator.step,
        "checkpoint_sha256": generator.checkpoint_sha256,
    }
    checkpoint.save(path, dict(state))


class TorchBackend(Backend):
    """A checkpoint run by PyTorch itself: as it is in float32, folded in float16 or bfloat16."""

    name = "torch"
    steady_batch = PIECE  # on the CPU every batch is made of these

    def __init__(self, path: Path, device: str = "auto", precision: str = "fp32"):
        check_precision(precision)
        generator = load_generator(path)
        config = generator.config
        digest = generator.weights_sha256
        if precision != "fp32":  # other images come of it
            digest = hashlib.sha256(f"{digest} {precision}".encode()).hexdigest()
        metadata = Metadata(
            format="torch",
            precision=precision,
            latent=Latent(config.latent_dim),
            image=ImageSpec(config.image_size, config.image_size, config.channels),
            payload_sha256=digest,
            classes=generator.classes,
            source={"config": config.to_dict(), "flops": generator_flops(config)},
        )
        super().__init__(metadata, digest, path)
        self.device = torch_device(device)
        self.notice = why_cpu(device)
        exact_float32(self.device)
        self.generator = generator
        module = generator.module if precision == "fp32" else as_deployed(generator.module, precision)
        self._module = module.to(self.device)
        self._pieces = Pieces(self._whole) if self.device == "cpu" else None

    def _infer(self, z: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        try:
            return self._pieces.run(z, labels) if self._pieces else self._whole(z, labels)
        except (RuntimeError, MemoryError) as error:
            raise runtime_failure("torch", error, len(z)) from None

    def _whole(self, z: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        with torch.inference_mode():
            label = None if labels is None else torch.from_numpy(labels).to(self.device)
            image: Tensor = self._module(torch.from_numpy(z).to(self.device), label)
            return image.cpu().numpy()

    def close(self) -> None:
        """Frees the module and its threads."""
        if self._pieces is not None:
            self._pieces.close()
        self._pieces = None
        del self._module
