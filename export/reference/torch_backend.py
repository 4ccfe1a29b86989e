"""What `--backend torch` is: a checkpoint, or the weights of a safetensors file, run by PyTorch itself."""

import hashlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from wgan.export.reference.fold import as_deployed, check_precision
from wgan.export.reference.generator import load_generator
from wgan.export.reference.weights import rebuilt
from wgan.serve.artifacts.artifact import Artifact
from wgan.serve.artifacts.formats import CHECKPOINT
from wgan.serve.artifacts.metadata import ImageSpec, Latent, Metadata
from wgan.serve.backends.base import Backend, Options
from wgan.serve.backends.memory import runtime_failure
from wgan.serve.backends.pytorch.device import exact_float32, torch_device, why_cpu
from wgan.serve.backends.pytorch.pieces import PIECE, Pieces
from wgan.serve.base.errors import BackendError, BackendUnavailable


class _Network(Backend):
    """A network that PyTorch runs, on the CPU or on CUDA, as asked."""

    name = "torch"
    steady_batch = PIECE  # on the CPU every batch is made of these

    def _start(self, module: nn.Module, device: str) -> None:
        self.device = torch_device(device)
        self.notice = why_cpu(device)
        exact_float32(self.device)
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


class TorchBackend(_Network):
    """A checkpoint: as it is in float32, folded in float16 or bfloat16."""

    def __init__(self, path: Path, device: str = "auto", precision: str = "fp32"):
        check_precision(precision)
        generator = load_generator(path)
        config = generator.config
        digest = generator.weights_sha256
        if precision != "fp32":  # other images come of it
            digest = hashlib.sha256(f"{digest} {precision}".encode()).hexdigest()
        metadata = Metadata(
            format=CHECKPOINT.name,
            precision=precision,
            latent=Latent(config.latent_dim),
            image=ImageSpec(config.image_size, config.image_size, config.channels),
            payload_sha256=digest,
            classes=generator.classes,
            source=generator.source | {"config": config.to_dict()},  # as it is: nothing of it is written
        )
        super().__init__(metadata, digest, path)
        self.generator = generator
        self._start(generator.module if precision == "fp32" else as_deployed(generator.module, precision), device)


class WeightsBackend(_Network):
    """The weights of a safetensors artifact, in the folded network that its metadata tells of.

    Raises:
        BackendError: the weights are not those of that network, or there is no such network.
    """

    def __init__(self, artifact: Artifact, device: str = "auto"):
        super().__init__(artifact.metadata, artifact.metadata.payload_sha256, artifact.path)
        try:
            from safetensors import SafetensorError
            from safetensors.torch import load
        except ModuleNotFoundError:
            raise BackendUnavailable("safetensors is not installed", extra="train") from None
        try:
            tensors = load(artifact.data)
        except SafetensorError as error:
            raise BackendError(
                f"safetensors cannot load {artifact.path}: {' '.join(str(error).split())[:200]}"
            ) from None
        self._start(rebuilt(artifact.metadata, tensors, str(artifact.path)), device)


def open_torch(model: Artifact | Path, device: str, _options: Options, _trusted: bool) -> Backend:
    """An `Opener`: a checkpoint in float32, or an artifact in its own precision."""
    return TorchBackend(model, device) if isinstance(model, Path) else WeightsBackend(model, device)
