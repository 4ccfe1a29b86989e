"""A TensorRT engine on CUDA, with cuda-bindings alone: no torch, no pycuda."""

from typing import Any

import numpy as np

from wgan.serve.artifact import Artifact
from wgan.serve.backend import Backend
from wgan.serve.errors import BackendError, BackendUnavailable
from wgan.serve.gpu import gpu_count
from wgan.serve.tensorrt_api import collecting_logger, load_tensorrt


class TrtBackend(Backend):
    """A deserialised engine with one execution context, one stream and buffers for its largest batch."""

    name = "trt"

    def __init__(self, artifact: Artifact, device: str = "auto"):
        metadata = artifact.metadata
        super().__init__(metadata, metadata.payload_sha256, artifact.path)
        if device == "cpu":
            raise BackendUnavailable("the trt backend runs on CUDA only: use --device cuda, or --backend onnx")
        if metadata.max_batch is None:
            raise BackendError(f"{artifact.path}: the engine's metadata has no max_batch: export it again")
        runtime = (metadata.engine or {}).get("runtime")
        api = load_tensorrt(runtime if isinstance(runtime, str) else None)
        if not gpu_count():
            raise BackendUnavailable("the trt backend needs an NVIDIA GPU and its driver; here use --backend onnx")
        try:
            from cuda.bindings import runtime as cudart
        except ImportError:
            raise BackendUnavailable("the trt backend needs cuda-bindings", extra="trt") from None
        self.device = "cuda"
        self._cuda = _Cuda(cudart)
        self._logger = collecting_logger(api)
        self._runtime = api.Runtime(self._logger)
        self._engine = self._runtime.deserialize_cuda_engine(artifact.data)
        if self._engine is None:
            built = (metadata.engine or {}).get("version", "another version")
            reason = self._logger.errors[-1] if self._logger.errors else "no reason given"
            raise BackendError(
                f"{artifact.path} does not load here: built with {runtime} {built}, this is {api.__version__} "
                f"({reason}); run `wgan export --format trt` on this machine"
            )
        self._context = self._engine.create_execution_context()
        if self._context is None:
            raise BackendError(f"TensorRT has no memory for {artifact.path}'s execution context")
        image = metadata.image
        self._sample = (image.channels, image.height, image.width)
        z_bytes = 4 * metadata.max_batch * metadata.latent.dim
        image_bytes = 4 * metadata.max_batch * int(np.prod(self._sample))
        self._stream: Any = self._cuda("cudaStreamCreate")
        self._z: int = self._cuda("cudaMalloc", z_bytes)
        self._image: int = self._cuda("cudaMalloc", image_bytes)
        for name, address in (("z", self._z), ("image", self._image)):
            if not self._context.set_tensor_address(name, address):
                raise BackendError(f"{artifact.path} has no tensor {name!r}: it is no generator of wgan")

    def _infer(self, z: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        kind = self._cuda.api.cudaMemcpyKind
        if not self._context.set_input_shape("z", z.shape):
            raise BackendError(f"{self.path} refuses a batch of {len(z)}")
        images = np.empty((len(z), *self._sample), np.float32)
        copy = "cudaMemcpyAsync"
        self._cuda(copy, self._z, z.ctypes.data, z.nbytes, kind.cudaMemcpyHostToDevice, self._stream)
        if not self._context.execute_async_v3(int(self._stream)):
            raise BackendError(f"TensorRT failed: {self._logger.errors[-1:] or 'no reason given'}")
        self._cuda(copy, images.ctypes.data, self._image, images.nbytes, kind.cudaMemcpyDeviceToHost, self._stream)
        self._cuda("cudaStreamSynchronize", self._stream)
        return images

    def close(self) -> None:
        """Frees buffers, stream and engine."""
        for function, held in (
            ("cudaFree", self._z),
            ("cudaFree", self._image),
            ("cudaStreamDestroy", self._stream),
        ):
            self._cuda(function, held)
        del self._context, self._engine, self._runtime


class _Cuda:
    """Calls of the CUDA runtime by name, each status checked."""

    def __init__(self, api: Any):
        self.api = api

    def __call__(self, function: str, *arguments: Any) -> Any:
        status, *results = getattr(self.api, function)(*arguments)
        if int(status) != 0:
            raise BackendError(f"CUDA: {function} failed with {status.name}")
        return results[0] if results else None
