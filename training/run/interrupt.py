"""Ctrl-C and SIGTERM as a request that the loop honours between two steps."""

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """While it is open, the first signal sets `requested`; a second one interrupts at once, unless ``patient``.

    torchrun repeats a Ctrl-C that its processes have already had: there a second one means nothing more.
    """

    def __init__(self, say: Callable[[str], None], *, patient: bool = False):
        self.requested = False
        self._patient = patient
        self._say = say
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "StopRequest":
        # Python delivers signals to the main thread only
        if threading.current_thread() is threading.main_thread():
            self._before = {name: signal.signal(name, self._handle) for name in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name, handler in self._before.items():
            signal.signal(name, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            if self._patient:
                return
            raise KeyboardInterrupt
        self.requested = True
        more = "" if self._patient else " (once more to stop at once)"
        self._say(f"stopping: this step is finished and saved first{more}")
