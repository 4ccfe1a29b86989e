"""TensorRT 10 and 11 and TensorRT-RTX behind one name. What they lack is found by attribute."""

import ctypes
import importlib
import importlib.util
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from wgan.serve.base.errors import BackendError, BackendUnavailable, ExportError
from wgan.serve.base.progress import Callback
from wgan.serve.machine.gpu import Gpu, first_gpu
from wgan.serve.machine.install import install_command
from wgan.serve.machine.installer import installer

MODULES = {"tensorrt": "trt", "tensorrt_rtx": "trt-rtx"}  # and the extra that installs each


def load_tensorrt(name: str | None = None) -> ModuleType:
    """The module `tensorrt` if it is installed, otherwise `tensorrt_rtx`; or the one named.

    Raises:
        BackendUnavailable: it is not installed, or its libraries do not load.
    """
    if name is not None and name not in MODULES:
        raise BackendUnavailable(f"unknown TensorRT runtime {name[:40]!r}: known are {', '.join(MODULES)}")
    wanted = [name] if name else list(MODULES)
    for candidate in wanted:
        if importlib.util.find_spec(candidate) is None:
            continue
        try:
            return importlib.import_module(candidate)
        except (ImportError, OSError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            again = f"{installer()} --force-reinstall {candidate.replace('_', '-')}"
            raise BackendUnavailable(f"{candidate} is installed but does not load: {reason}", mend=again) from None
    raise BackendUnavailable(f"this engine needs {name}" if name else "TensorRT is not installed", wanted_extra(name))


def wanted_extra(name: str | None = None) -> str:
    """The extra that brings the runtime of this name; without a name the one for this machine.

    TensorRT-RTX is the one that builds engines where there is no GPU.
    """
    return MODULES[name] if name else "trt" if first_gpu() else "trt-rtx"


def builds_for_absent_gpus(api: Any) -> bool:
    """Whether this is TensorRT-RTX, whose builder takes compute capabilities and needs no GPU."""
    return hasattr(api, "ComputeCapability")


def compute_capabilities(api: Any) -> dict[str, Any]:
    """The GPUs that TensorRT-RTX lists: compute capability, as in `8.6`, → the member that means it."""
    listed = {name: value for name, value in api.ComputeCapability.__members__.items() if re.fullmatch(r"SM\d+", name)}
    return {f"{name[2:-1]}.{name[-1]}": value for name, value in listed.items()}


def unlisted(api: Any, gpu: Gpu) -> str | None:
    """Why TensorRT-RTX does not run on this GPU, such as a Hopper (tried: 1.7 on an H200); None if it does."""
    if not builds_for_absent_gpus(api) or gpu.compute_capability in compute_capabilities(api):
        return None
    return f"{api.__name__} {api.__version__} lists no compute capability {gpu.compute_capability}"


def refused(api: Any, gpu: Gpu | None) -> str | None:
    """Why this GPU is none of TensorRT-RTX's, and what may run on it; None if it is, or where there is no GPU."""
    why = None if gpu is None else unlisted(api, gpu)
    return None if why is None else f"{why}, TensorRT may run on it"


@contextmanager
def naming_tensorrt(api: Any, gpu: Gpu | None) -> Iterator[None]:
    """Where TensorRT-RTX refuses a GPU that it does not list, the error also names TensorRT, which knows more GPUs."""
    try:
        yield
    except (BackendError, ExportError) as error:
        if (why := refused(api, gpu)) is None:
            raise
        if isinstance(error, BackendUnavailable):
            raise BackendUnavailable(f"{error.why}; {why}", extra="trt") from error
        raise type(error)(f"{error}; {why}: {install_command('trt')}") from error


def makes_own_graphs(api: Any) -> bool:
    """Whether the runtime captures CUDA graphs itself, which TensorRT-RTX does for each shape it has compiled."""
    return hasattr(api, "CudaGraphStrategy")


def collecting_logger(api: Any) -> Any:
    """A TensorRT logger that keeps errors in ``.errors`` and prints nothing; ``.reason`` is the last one."""

    class Collector(api.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            api.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            # INTERNAL_ERROR is 0, ERROR is 1
            if int(severity) <= 1:
                self.errors.append(" ".join(message.split()))

        @property
        def reason(self) -> str:
            return self.errors[-1] if self.errors else "no reason given"

    return Collector()


def progress_monitor(api: Any, report: Callback) -> Any:
    """A TensorRT progress monitor that reports a build as ``report(percent, 100, phase)``, never going back.

    `stopped` holds what stopped the build: an exception, Ctrl-C too, must not pass through the builder.
    """

    class Monitor(api.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            api.IProgressMonitor.__init__(self)
            self.stopped: BaseException | None = None
            self._phases: dict[str, tuple[str | None, int, int]] = {}  # name → parent, steps, steps done
            self._percent = 0
            self._lock = threading.Lock()  # the builder's own threads call

        def phase_start(self, name: str, parent: str | None, steps: int) -> None:
            with self._lock:
                self._phases[name] = (parent, max(steps, 1), 0)

        def step_complete(self, name: str, step: int) -> bool:
            with self._lock:
                parent, steps, _ = self._phases[name]
                self._phases[name] = (parent, steps, step + 1)
                self._tell(self._fraction(name), name)
            return self.stopped is None

        def phase_finish(self, name: str) -> None:
            with self._lock:
                parent, _, _ = self._phases.pop(name)
                if parent is None and self.stopped is None:  # perhaps with steps left out
                    self._tell(1.0, name)

        def _tell(self, fraction: float, name: str) -> None:
            self._percent = max(self._percent, int(100 * fraction))
            try:
                report(self._percent, 100, name)
            except BaseException as error:
                self.stopped = error

        def _fraction(self, name: str | None) -> float:
            """How much of the whole build is done, seen from a phase: it is a part of a step of its parent."""
            inside = 0.0
            while name in self._phases:
                name, steps, done = self._phases[name]
                inside = min(1.0, (done + inside) / steps)
            return inside

    return Monitor()


def started(api: Any, kind: str, logger: Any) -> Any:
    """A `Builder` or a `Runtime` that works.

    Where CUDA does not start (a driver that is too old, say) TensorRT logs errors and returns an object all the
    same, and its first use, even its destruction, is a segmentation fault. So it is not used, and never destroyed.

    Raises:
        BackendUnavailable: it did not start; with what TensorRT logged.
    """
    try:
        made = getattr(api, kind)(logger)
    except (TypeError, RuntimeError) as error:  # what bindings make of a null pointer
        logger.errors.append(" ".join(str(error).split()))
        made = None
    if logger.errors:
        for kept in (made, logger):
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(kept))
        raise BackendUnavailable(f"{api.__name__} does not start here: {logger.reason[:300]}; see `wgan doctor`")
    return made


def open_engine(api: Any, logger: Any, plan: bytes, host_code: bool) -> tuple[Any, Any]:
    """A plan's runtime, which must outlive the engine, and the engine; None for an engine that does not load.

    Args:
        api: the TensorRT module.
        logger: what takes the reason.
        plan: the engine.
        host_code: whether the plan may bring code that runs on the CPU: a version-compatible engine holds
            the runtime of the version that built it.

    Raises:
        BackendUnavailable: TensorRT does not start here.
    """
    runtime = started(api, "Runtime", logger)
    if host_code:
        runtime.engine_host_code_allowed = True
    return runtime, runtime.deserialize_cuda_engine(plan)
