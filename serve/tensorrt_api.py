"""TensorRT 10 and 11 and TensorRT-RTX behind one name. What they lack is found by attribute."""

import importlib
import importlib.util
from types import ModuleType
from typing import Any

from wgan.serve.errors import BackendUnavailable

MODULES = {"tensorrt": "trt", "tensorrt_rtx": "trt-rtx"}  # and the extra that installs each


def load_tensorrt(name: str | None = None) -> ModuleType:
    """The module `tensorrt` if it is installed, otherwise `tensorrt_rtx`; or the one named.

    Raises:
        BackendUnavailable: it is not installed, or its libraries do not load.
    """
    if name is not None and name not in MODULES:
        raise BackendUnavailable(f"unknown TensorRT runtime {name!r}: known are {', '.join(MODULES)}")
    wanted = [name] if name else list(MODULES)
    for candidate in wanted:
        if importlib.util.find_spec(candidate) is None:
            continue
        try:
            return importlib.import_module(candidate)
        except (ImportError, OSError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise BackendUnavailable(f"{candidate} is installed but does not load: {reason}") from None
    what = f"this engine needs {name}" if name else "the trt format needs TensorRT (or TensorRT-RTX, extra trt-rtx)"
    raise BackendUnavailable(what, extra=MODULES[name or "tensorrt"])


def collecting_logger(api: Any) -> Any:
    """A TensorRT logger that keeps errors in ``.errors`` and prints nothing."""

    class Collector(api.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            api.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            # INTERNAL_ERROR is 0, ERROR is 1
            if int(severity) <= 1:
                self.errors.append(" ".join(message.split()))

    return Collector()
