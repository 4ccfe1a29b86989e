"""TensorRT's measurements of its kernels, kept so that the second build on a machine is quick."""

import re
from contextlib import suppress
from typing import Any

from wgan.serve.base.errors import OutputError
from wgan.serve.base.files import atomic_write, cache_folder


class TimingCache:
    """One file for each GPU model and version: measurements hold for no other.

    It is only a cache: one that cannot be read is replaced, and where none can be written none is kept.
    """

    def __init__(self, api: Any, config: Any, gpu: str):
        words = re.sub(r"[^a-z0-9.]+", "-", f"{api.__name__} {api.__version__} {gpu}".lower()).strip("-")
        folder = cache_folder()
        self.path = folder and folder / f"timing-{words}.cache"
        self._config = config
        content = b""
        if self.path is not None:
            with suppress(OSError):
                content = self.path.read_bytes()
        self._cache = config.create_timing_cache(content)  # must outlive the build
        # False: what another GPU or version wrote is refused
        if self._cache is None or not config.set_timing_cache(self._cache, False):
            self._cache = config.create_timing_cache(b"")
            config.set_timing_cache(self._cache, False)

    def save(self) -> None:
        """Keeps what the build has added."""
        if self.path is None:
            return
        with suppress(OutputError):
            atomic_write(self.path, bytes(self._config.get_timing_cache().serialize()))
