"""The CUDA runtime through cuda-bindings: every status is checked, and everything allocated is freed."""

import ctypes
import itertools
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wgan.serve.base.errors import BackendError, BackendOutOfMemory, BackendUnavailable


class Cuda:
    """The runtime's calls by name, and the owner of all that they have taken.

    Device memory is an address, host memory a pinned uint8 array, streams and events are what cuda-bindings
    returns. `close` gives everything back, the newest first; nothing may be in flight then.

    Args:
        extra: that brings cuda-bindings, with the TensorRT that is here.

    Raises:
        BackendUnavailable: cuda-bindings is not installed.
        BackendError: from every method, where CUDA reports a failure.
    """

    def __init__(self, extra: str = "trt") -> None:
        try:
            from cuda.bindings import runtime
        except ImportError:
            raise BackendUnavailable("the trt backend needs cuda-bindings", extra=extra) from None
        self._api: Any = runtime
        self._taken: dict[int, tuple[str, Any]] = {}  # token → what gives it back
        self._tokens = itertools.count()

    def __call__(self, function: str, *arguments: Any) -> Any:
        """Calls a function of the runtime and returns its result, if it has one."""
        status, *results = getattr(self._api, function)(*arguments)
        if int(status) != 0:
            told = f"CUDA: {function} failed with {status.name}"
            if status.name == "cudaErrorMemoryAllocation":
                raise BackendOutOfMemory(f"{told}: free memory on the GPU, or export for a smaller --max-batch")
            raise BackendError(told)
        return results[0] if results else None

    def stream(self) -> Any:
        """A stream of its own, not tied to the default stream."""
        return self._take("cudaStreamDestroy", self("cudaStreamCreateWithFlags", self._api.cudaStreamNonBlocking))

    def event(self) -> Any:
        """An event; a thread that waits for it sleeps, which leaves its core to the encoders."""
        flags = self._api.cudaEventDisableTiming | self._api.cudaEventBlockingSync
        return self._take("cudaEventDestroy", self("cudaEventCreateWithFlags", flags))

    def device_memory(self, size: int) -> int:
        """The address of ``size`` bytes on the GPU."""
        address: int = self._take("cudaFree", self("cudaMalloc", size))
        return address

    def host_memory(self, size: int) -> NDArray[np.uint8]:
        """``size`` bytes of pinned memory: copies run beside the host's work only from and to pinned memory."""
        address = self._take("cudaFreeHost", self("cudaMallocHost", size))
        return np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))

    def copy_in(self, to: int, source: np.ndarray, stream: Any) -> None:
        """Queues host → device."""
        kind = self._api.cudaMemcpyKind.cudaMemcpyHostToDevice
        self("cudaMemcpyAsync", to, source.ctypes.data, source.nbytes, kind, stream)

    def copy_out(self, to: np.ndarray, source: int, stream: Any) -> None:
        """Queues device → host."""
        kind = self._api.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self("cudaMemcpyAsync", to.ctypes.data, source, to.nbytes, kind, stream)

    def copy_within(self, to: int, source: int, size: int, stream: Any) -> None:
        """Queues device → device."""
        kind = self._api.cudaMemcpyKind.cudaMemcpyDeviceToDevice
        self("cudaMemcpyAsync", to, source, size, kind, stream)

    def capture(self, stream: Any, work: Callable[[], object]) -> "Graph":
        """What ``work`` queues on the stream, as a graph; nothing of it runs."""
        self("cudaStreamBeginCapture", stream, self._api.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal)
        try:
            work()
        except BaseException:
            with suppress(BackendError):  # a stream left in capture would refuse all further work
                self("cudaGraphDestroy", self("cudaStreamEndCapture", stream))
            raise
        graph = self("cudaStreamEndCapture", stream)
        try:
            made = Graph(self, self("cudaGraphInstantiate", graph, 0))
        except BaseException:
            with suppress(BackendError):
                self("cudaGraphDestroy", graph)
            raise
        self("cudaGraphDestroy", graph)
        return made

    def close(self) -> None:
        """Gives everything back, whatever fails on the way, and then raises the first failure."""
        failures = []
        while self._taken:
            function, handle = self._taken.popitem()[1]
            try:
                self(function, handle)
            except BackendError as error:
                failures.append(error)
        if failures:
            raise failures[0]

    def _take(self, give_back: str, handle: Any) -> Any:
        self._taken[next(self._tokens)] = (give_back, handle)
        return handle


class Graph:
    """A captured piece of work, launched as one; `close` gives it back before its owner does."""

    def __init__(self, cuda: Cuda, executable: Any):
        self._cuda, self._executable = cuda, executable
        cuda._take("cudaGraphExecDestroy", executable)
        self._token = next(reversed(cuda._taken))

    def launch(self, stream: Any) -> None:
        """Queues it."""
        self._cuda("cudaGraphLaunch", self._executable, stream)

    def close(self) -> None:
        """Gives it back; it must not be in flight."""
        function, handle = self._cuda._taken.pop(self._token)
        self._cuda(function, handle)
