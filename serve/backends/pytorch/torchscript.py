"""TorchScript through torch.jit."""

import io
import warnings

import numpy as np

from wgan.serve.artifacts.artifact import Artifact
from wgan.serve.backends.base import Backend, Options
from wgan.serve.backends.memory import runtime_failure
from wgan.serve.backends.pytorch.device import exact_convolutions, exact_float32, torch_device, why_cpu
from wgan.serve.backends.pytorch.pieces import PIECE, Pieces
from wgan.serve.base.errors import BackendError


class TorchScriptBackend(Backend):
    """A TorchScript artifact on the CPU or on CUDA, as asked."""

    name = "torchscript"
    steady_batch = PIECE  # on the CPU every batch is made of these

    def __init__(self, artifact: Artifact, device: str = "auto"):
        super().__init__(artifact.metadata, artifact.metadata.payload_sha256, artifact.path)
        self.device = torch_device(device)
        self.notice = why_cpu(device)
        exact_float32(self.device)
        import torch

        self._torch = torch
        try:
            with warnings.catch_warnings():
                # torch announces TorchScript's end of new features; the format stays supported
                warnings.simplefilter("ignore", DeprecationWarning)
                warnings.simplefilter("ignore", FutureWarning)
                self._module = torch.jit.load(io.BytesIO(artifact.data), map_location=self.device).eval()
            exact_convolutions(self._module.graph)
        except RuntimeError as error:
            raise BackendError(f"torch cannot load {artifact.path}: {' '.join(str(error).split())[:200]}") from None

        self._pieces = Pieces(self._whole) if self.device == "cpu" else None

    def _infer(self, z: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        try:
            return self._pieces.run(z, labels) if self._pieces else self._whole(z, labels)
        except (RuntimeError, MemoryError) as error:
            raise runtime_failure("TorchScript", error, len(z)) from None

    def _whole(self, z: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        torch = self._torch
        with torch.inference_mode():
            inputs = [torch.from_numpy(rows).to(self.device) for rows in (z, labels) if rows is not None]
            images: np.ndarray = self._module(*inputs).cpu().numpy()
        return images

    def close(self) -> None:
        """Frees the module and its threads."""
        if self._pieces is not None:
            self._pieces.close()
        self._pieces = None
        del self._module


def open_torchscript(artifact: Artifact, device: str, _options: Options, _trusted: bool) -> Backend:
    """An `Opener`."""
    return TorchScriptBackend(artifact, device)
