"""ONNX Runtime, on the CPU, on CUDA or on CUDA through TensorRT, as asked and never another."""

import importlib
import os
import sys
from contextlib import redirect_stdout, suppress
from typing import Any

import numpy as np

from wgan.serve import onnx_runtime
from wgan.serve.artifact import Artifact
from wgan.serve.backend import Backend, OnnxOptions
from wgan.serve.cores import physical_cores
from wgan.serve.errors import BackendError, BackendUnavailable, ConfigError
from wgan.serve.gpu import gpu_count
from wgan.serve.metadata import Metadata
from wgan.serve.onnx_binding import BoundSession
from wgan.serve.onnx_cpu import CpuSession
from wgan.serve.out_of_memory import runtime_failure

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
PROVIDERS = {"cpu": CPU, "cuda": CUDA, "tensorrt": "TensorrtExecutionProvider"}
OPTIMUM, MOST = 64, 256  # batches that the tensorrt provider builds its engine for
MOST_THREADS = 1024


class OnnxBackend(Backend):
    """An ONNX artifact in an inference session."""

    name = "onnx"
    knows_inputs = True  # from the metadata, before a session is made

    def __init__(self, artifact: Artifact, device: str = "auto", options: OnnxOptions | None = None):
        super().__init__(artifact.metadata, artifact.metadata.payload_sha256, artifact.path)
        options = options or OnnxOptions()
        if options.threads is not None and not 1 <= options.threads <= MOST_THREADS:
            raise ConfigError(f"--threads {options.threads} is outside its range, 1 to {MOST_THREADS}")
        _check_provider(options.provider, device)
        try:
            ort = onnx_runtime.load()
        except ImportError:
            raise BackendUnavailable("the onnx backend needs ONNX Runtime", extra="onnx") from None
        self.provider = _provider(ort, device, options.provider)
        self.device = "cpu" if self.provider == "cpu" else "cuda"
        providers, threads = self._providers(), options.threads or physical_cores()

        def session(threads: int) -> Any:
            settings = ort.SessionOptions()
            settings.log_severity_level = 4  # nothing: warnings are not for users, errors come as exceptions
            settings.intra_op_num_threads = threads
            # without its fallback: that prints to stdout and goes on with another provider
            return ort.InferenceSession(self._model(artifact), settings, providers=providers, enable_fallback=False)

        if self.device == "cuda":
            self._load_libraries(ort)
        self._runner: CpuSession | BoundSession | None = None
        try:
            if self.device == "cpu" and self.knows_inputs:
                self._runner = CpuSession(session, threads)
                self._session = self._runner.narrow
            else:
                self._session = session(threads)
        except Exception as error:  # onnxruntime raises types of its own, some without a common base
            raise BackendError(f"ONNX Runtime cannot load {artifact.path}: {' '.join(str(error).split())}") from None
        # a provider that fails to load is dropped without an exception
        if self._session.get_providers()[0] != PROVIDERS[self.provider]:
            needs = "CUDA and cuDNN" if self.provider == "cuda" else "CUDA, cuDNN and TensorRT (pip install tensorrt)"
            raise BackendError(
                f"ONNX Runtime could not start its {PROVIDERS[self.provider]}: check the driver, {needs}"
            )
        if self.device == "cuda":
            image = self.metadata.image
            self._runner = BoundSession(ort, self._session, self.device, image.shape, image.dtype)

    def _model(self, artifact: Artifact) -> bytes | str:
        """What the session is made of: the bytes that were checked."""
        return artifact.data

    def _load_libraries(self, ort: Any) -> None:
        """Makes the libraries of installed packages known to the process, where there are any."""
        with redirect_stdout(sys.stderr):  # what it misses it prints, and stdout is the result's
            if hasattr(ort, "preload_dlls"):
                ort.preload_dlls()
            if self.provider == "tensorrt":
                with suppress(ImportError, OSError):
                    importlib.import_module("tensorrt")  # which loads them

    def _providers(self) -> list[Any]:
        """With the options under which float32 is float32, as parity is measured."""
        cuda = (CUDA, {"use_tf32": "0"})
        if self.provider == "cpu":
            return [CPU]
        if self.provider == "cuda":
            return [cuda, CPU]
        if self.metadata.precision == "fp32":
            os.environ["NVIDIA_TF32_OVERRIDE"] = "0"  # the provider has no option for it
        settings = {"trt_fp16_enable": "1" if self.metadata.precision == "fp16" else "0"}
        if self.knows_inputs:
            settings |= _profile(self.metadata)
            self.metadata = self.metadata.replace(max_batch=MOST)
        return [(PROVIDERS["tensorrt"], settings), cuda, CPU]

    def _infer(self, z: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        inputs = {"z": z} if labels is None else {"z": z, "label": labels}
        try:
            assert self._runner is not None  # but for a Stranger, which has an _infer of its own
            return self._runner.run(inputs)
        except Exception as error:  # as above
            raise runtime_failure("ONNX Runtime", error, len(z)) from None

    def close(self) -> None:
        """Frees the session and its buffers."""
        if self._runner is not None:
            self._runner.close()
        self._runner = None
        del self._session


def _check_provider(asked: str | None, device: str) -> None:
    """Refuses an unknown provider, or one that does not run on the device."""
    if asked is None:
        return
    if asked not in PROVIDERS:
        raise ConfigError(f"--provider {asked} is not one of {', '.join(PROVIDERS)}")
    if device != "auto" and (device == "cpu") != (asked == "cpu"):
        raise ConfigError(f"--provider {asked} does not run on --device {device}: leave one of them out")


def _provider(ort: Any, device: str, asked: str | None) -> str:
    """The provider to run with, one of `PROVIDERS`.

    Raises:
        BackendUnavailable: this machine or this ONNX Runtime lacks what was asked for.
    """
    available = ort.get_available_providers()
    if asked is None and device == "auto":
        return "cuda" if CUDA in available and gpu_count() else "cpu"
    wanted = asked or device
    option = f"--provider {asked}" if asked else f"--device {device}"
    if PROVIDERS[wanted] not in available:
        name = {"cuda": "CUDA", "tensorrt": "TensorRT"}[wanted]
        raise BackendUnavailable(f"{option}: this ONNX Runtime has no {name} support", extra="onnx")
    if wanted != "cpu" and not gpu_count():
        instead = option.replace(wanted, "cpu")
        raise BackendUnavailable(f"{option}: this machine shows no CUDA device; use {instead}")
    return wanted


def _profile(metadata: Metadata) -> dict[str, str]:
    """One engine for every batch up to `MOST`: by itself the provider builds anew for each that it has not seen."""

    def shapes(count: int) -> str:
        label = "" if metadata.classes is None else f",label:{count}"
        return f"z:{count}x{metadata.latent.dim}{label}"

    sizes = {"min": 1, "opt": OPTIMUM, "max": MOST}
    return {f"trt_profile_{name}_shapes": shapes(count) for name, count in sizes.items()}
