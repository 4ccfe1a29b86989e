"""The engines that ONNX Runtime's TensorRT provider builds, kept so that a second process does not build them again.

The provider tells engines apart by the names in the graph, not by the weights: two trainings of one network would
share an engine. So there is a folder for each file together with everything else that an engine depends on.
"""

import hashlib
import json
import os
import re
import shutil
from contextlib import suppress

from wgan.serve.base.files import cache_folder


class EngineCache:
    """One folder for each GPU and version, with its kernels' measurements, and in it one for each engine.

    It is only a cache: where nothing can be written the provider does without, see `settings`.

    Args:
        gpu: the GPU's name and compute capability.
        versions: of ONNX Runtime and TensorRT.
        engine: what else the engine depends on: the model's digest, and all that the provider was told.
    """

    def __init__(self, gpu: str, versions: str, engine: dict[str, str]):
        words = re.sub(r"[^a-z0-9.]+", "-", f"onnxruntime {versions} {gpu}".lower()).strip("-")
        text = json.dumps([gpu, versions, engine], sort_keys=True)
        place = cache_folder()
        self.shared = place and place / words
        self.folder = self.shared and self.shared / hashlib.sha256(text.encode()).hexdigest()[:32]

    def settings(self) -> dict[str, str]:
        """The provider's options; none where the folder cannot be made or written."""
        if self.folder is None:
            return {}
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
        if not (self.folder.is_dir() and os.access(self.folder, os.W_OK | os.X_OK)):
            return {}
        return {
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": str(self.folder),
            "trt_timing_cache_enable": "1",
            "trt_timing_cache_path": str(self.shared),
        }

    @property
    def filled(self) -> bool:
        """Whether there is something that may be damaged: a process that was killed leaves half an engine."""
        return self.folder is not None and any(self.folder.glob("*"))

    def clear(self) -> None:
        """Forgets this engine."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
