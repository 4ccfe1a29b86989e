"""ONNX Runtime, on the CPU, on CUDA or on CUDA through TensorRT, as asked and never another."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from wgan.serve.artifacts.artifact import Artifact
from wgan.serve.artifacts.metadata import Metadata
from wgan.serve.backends.base import Backend, Options
from wgan.serve.backends.memory import runtime_failure
from wgan.serve.backends.onnxrt import runtime
from wgan.serve.backends.onnxrt.binding import BoundSession
from wgan.serve.backends.onnxrt.cpu import CpuSession
from wgan.serve.backends.onnxrt.engine_cache import EngineCache
from wgan.serve.backends.onnxrt.providers import load_libraries, tensorrt_version
from wgan.serve.base.command import RUNNERS, or_again
from wgan.serve.base.errors import BackendError, BackendUnavailable, ConfigError
from wgan.serve.machine.cores import physical_cores
from wgan.serve.machine.gpu import first_gpu, gpu_count, query_driver
from wgan.serve.machine.requirements import Gap

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
EXACT_CUDA = (CUDA, {"use_tf32": "0"})  # float32 is float32, as parity is measured
PROVIDERS = {"cpu": CPU, "cuda": CUDA, "tensorrt": "TensorrtExecutionProvider"}
OPTIMUM, MOST = 64, 256  # batches that the tensorrt provider builds its engine for
MOST_THREADS = 1024
TF32 = "NVIDIA_TF32_OVERRIDE"


class OnnxBackend(Backend):
    """An ONNX artifact in an inference session."""

    name = "onnx"
    provider: str
    knows_inputs = True  # from the metadata, before a session is made

    def __init__(self, artifact: Artifact, device: str = "auto", options: Options | None = None):
        super().__init__(artifact.metadata, artifact.metadata.payload_sha256, artifact.path)
        options = options or Options()
        if options.threads is not None and not 1 <= options.threads <= MOST_THREADS:
            raise ConfigError(f"--threads {options.threads} is outside its range, 1 to {MOST_THREADS}")
        _check_provider(options.provider, device)
        try:
            ort = runtime.load()
        except ImportError:
            raise _missing() from None
        self._ort, self._threads = ort, options.threads or physical_cores()
        self.provider = _provider(ort, device, options.provider)
        try:
            self._start(artifact)
        except BackendError as error:
            gap = None if self.provider == "cpu" else _gap(self.provider)
            if gap is None:  # it is the file
                raise
            if (option := _asked(device, options.provider)) is not None:
                raise BackendUnavailable(f"{option}: {gap}") from error
            self.notice = f"runs on the CPU: {gap}"
            self.provider = "cpu"
            self._start(artifact)

    def _start(self, artifact: Artifact) -> None:
        """Makes the session with the provider that was chosen.

        Raises:
            BackendError: it is not made, or not with this provider.
        """
        self.device = "cpu" if self.provider == "cpu" else "cuda"
        self.concurrent = self.device == "cpu"
        if self.device == "cuda":
            load_libraries(self._ort, tensorrt=self.provider == "tensorrt")
        self._runner: CpuSession | BoundSession | None = None
        try:
            if self.device == "cpu" and self.knows_inputs:
                self._runner = CpuSession(partial(self._new_session, artifact), self._threads)
                self._session = self._runner.narrow
            else:
                self._session = self._new_session(artifact, self._threads)
        except Exception as error:  # onnxruntime raises types of its own, some without a common base
            raise BackendError(f"ONNX Runtime cannot load {artifact.path}: {' '.join(str(error).split())}") from None
        # a provider that fails to load is dropped without an exception
        if self._session.get_providers()[0] != PROVIDERS[self.provider]:
            raise BackendError(f"ONNX Runtime could not start its {PROVIDERS[self.provider]}: see `wgan doctor`")
        if self.device == "cuda":
            image = self.metadata.image
            self._runner = BoundSession(self._ort, self._session, self.device, image.shape, image.dtype)

    def _new_session(self, artifact: Artifact, threads: int) -> Any:
        settings = self._ort.SessionOptions()
        settings.log_severity_level = 4  # nothing: warnings are not for users, errors come as exceptions
        settings.intra_op_num_threads = threads
        model = self._model(artifact)

        def made(providers: list[Any]) -> Any:
            # without its fallback: that prints to stdout and goes on with another provider
            with self._exact():
                return self._ort.InferenceSession(model, settings, providers=providers, enable_fallback=False)

        if self.provider != "tensorrt":
            return made([CPU] if self.provider == "cpu" else [EXACT_CUDA, CPU])
        asked = self._tensorrt_settings()
        cache = self._cache(asked)
        kept = cache.filled
        try:
            return made([(PROVIDERS["tensorrt"], asked | cache.settings()), EXACT_CUDA, CPU])
        except Exception:
            if not kept:
                raise
        cache.clear()  # it may be damaged
        return made([(PROVIDERS["tensorrt"], asked | cache.settings()), EXACT_CUDA, CPU])

    def _model(self, artifact: Artifact) -> bytes | str:
        """What the session is made of: the bytes that were checked."""
        return artifact.data

    def _tensorrt_settings(self) -> dict[str, str]:
        settings = {"trt_fp16_enable": "1" if self.metadata.precision == "fp16" else "0"}
        if self.knows_inputs:
            settings |= _profile(self.metadata)
            self.metadata = self.metadata.replace(max_batch=MOST)
        return settings

    def _cache(self, settings: dict[str, str]) -> EngineCache:
        """Where the engine of this file is kept, for these settings, this GPU and these versions."""
        with self._exact():
            engine = {"model": self.digest, "tf32": os.environ.get(TF32, ""), **settings}
        versions = f"{self._ort.__version__} tensorrt {tensorrt_version(self._ort)}"
        return EngineCache(str(first_gpu()), versions, engine)

    @contextmanager
    def _exact(self) -> Iterator[None]:
        """Keeps TF32 off while TensorRT builds, as parity is measured in float32: its provider has no option for it.

        The variable is put back, so that other runtimes of this process do not find it. What CUDA's own libraries
        read of it in that time they keep.
        """
        if self.provider != "tensorrt" or self.metadata.precision != "fp32":
            yield
            return
        before = os.environ.get(TF32)
        os.environ[TF32] = "0"
        try:
            yield
        finally:
            if before is None:
                del os.environ[TF32]
            else:
                os.environ[TF32] = before

    def _infer(self, z: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        inputs = {"z": z} if labels is None else {"z": z, "label": labels}
        try:
            assert self._runner is not None  # but for a Stranger, which has an _infer of its own
            with self._exact():
                return self._runner.run(inputs)
        except Exception as error:  # as above
            raise runtime_failure("ONNX Runtime", error, len(z)) from None

    def close(self) -> None:
        """Frees the session and its buffers."""
        if self._runner is not None:
            self._runner.close()
        self._runner = None
        del self._session


def open_onnx(artifact: Artifact, device: str, options: Options, _trusted: bool) -> Backend:
    """An `Opener`."""
    return OnnxBackend(artifact, device, options)


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
    wanted, option = asked or device, _asked(device, asked)
    assert option is not None
    if wanted != "cpu" and not gpu_count():
        instead = or_again(*option.replace(wanted, "cpu").split(), of=RUNNERS, without=("--device", "--provider"))
        raise BackendUnavailable(f"{option}: this machine shows no CUDA device; use {instead}")
    if PROVIDERS[wanted] not in available:
        name, gap = {"cuda": "CUDA", "tensorrt": "TensorRT"}[wanted], _gap("cuda")
        what = f"{option}: this ONNX Runtime has no {name} support"
        raise BackendUnavailable(what, mend=gap.fix) if gap else BackendUnavailable(what, extra="onnx")
    return wanted


def _asked(device: str, provider: str | None) -> str | None:
    """The option that decides where it runs; None where that was left to `auto`."""
    return f"--provider {provider}" if provider else None if device == "auto" else f"--device {device}"


def _missing() -> BackendUnavailable:
    """That ONNX Runtime is not installed, with the extra that `wgan doctor` names too."""
    from wgan.serve.backends.onnxrt.verdict import wanted_extra

    return BackendUnavailable("the onnx backend needs ONNX Runtime", extra=wanted_extra(query_driver()))


def _gap(provider: str) -> Gap | None:
    """What keeps the provider from running, as `wgan doctor` finds it."""
    from wgan.serve.backends.onnxrt.verdict import provider_gap

    return provider_gap(provider)


def _profile(metadata: Metadata) -> dict[str, str]:
    """One engine for every batch up to `MOST`: without a profile the provider builds one for each new batch size."""

    def shapes(count: int) -> str:
        label = "" if metadata.classes is None else f",label:{count}"
        return f"z:{count}x{metadata.latent.dim}{label}"

    sizes = {"min": 1, "opt": OPTIMUM, "max": MOST}
    return {f"trt_profile_{name}_shapes": shapes(count) for name, count in sizes.items()}
