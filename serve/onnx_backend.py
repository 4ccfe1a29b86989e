"""ONNX Runtime, on the CPU or on CUDA, as asked and never another."""

import sys
from contextlib import redirect_stdout

import numpy as np

from wgan.serve.artifact import Artifact
from wgan.serve.backend import Backend
from wgan.serve.errors import BackendError, BackendUnavailable
from wgan.serve.gpu import gpu_count

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"


class OnnxBackend(Backend):
    """An ONNX artifact in an inference session."""

    name = "onnx"

    def __init__(self, artifact: Artifact, device: str = "auto"):
        super().__init__(artifact.metadata, artifact.metadata.payload_sha256, artifact.path)
        try:
            import onnxruntime as ort
        except ImportError:
            raise BackendUnavailable("the onnx backend needs ONNX Runtime", extra="onnx") from None
        has_cuda = CUDA in ort.get_available_providers()
        if device == "auto":
            device = "cuda" if has_cuda and gpu_count() else "cpu"
        if device == "cuda" and not has_cuda:
            raise BackendUnavailable("--device cuda: this ONNX Runtime has no CUDA support", extra="onnx")
        if device == "cuda" and not gpu_count():
            raise BackendUnavailable("--device cuda: this machine shows no CUDA device; use --device cpu")
        self.device = device
        options = ort.SessionOptions()
        options.log_severity_level = 4  # nothing: warnings are not for users, errors come as exceptions
        # use_tf32=0: the same numbers as float32, which parity is measured against
        wanted = [(CUDA, {"use_tf32": "0"})] if device == "cuda" else []
        if device == "cuda" and hasattr(ort, "preload_dlls"):
            with redirect_stdout(sys.stderr):  # what it misses it prints, and stdout is the result's
                ort.preload_dlls()
        try:
            # without its fallback: that prints to stdout and goes on with another provider
            self._session = ort.InferenceSession(
                artifact.data, options, providers=[*wanted, CPU], enable_fallback=False
            )
        except Exception as error:  # onnxruntime raises types of its own, some without a common base
            raise BackendError(f"ONNX Runtime cannot load {artifact.path}: {' '.join(str(error).split())}") from None
        # a provider that fails to load is dropped without an exception
        if device == "cuda" and self._session.get_providers()[0] != CUDA:
            raise BackendError("ONNX Runtime could not start its CUDA provider: check the driver, CUDA and cuDNN")

    def _infer(self, z: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        inputs = {"z": z} if labels is None else {"z": z, "label": labels}
        try:
            images: np.ndarray = self._session.run(["image"], inputs)[0]
        except Exception as error:  # as above
            raise BackendError(f"ONNX Runtime failed: {' '.join(str(error).split())}") from None
        return images

    def close(self) -> None:
        """Frees the session."""
        del self._session
