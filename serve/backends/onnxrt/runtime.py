"""ONNX Runtime, loaded with its telemetry off: from 1.29 on it would report each session, the model's metadata too.

It looks at the variable when it is imported, and whatever runs beside us may import it first: `wgan.serve` sets the
variable as soon as it is imported itself. Processes that we start inherit it.
"""

import importlib
import os
from typing import Any

SILENT = "ORT_DISABLE_TELEMETRY"  # set to 1, ONNX Runtime sends nothing and keeps no queue of what it would send


def be_silent() -> None:
    """Turns telemetry off, unless the user has set the variable, to whatever value."""
    os.environ.setdefault(SILENT, "1")


def load() -> Any:
    """The module `onnxruntime`.

    Raises:
        ImportError: it is not installed.
    """
    be_silent()
    return importlib.import_module("onnxruntime")
