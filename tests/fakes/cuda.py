"""A CUDA runtime that is only bookkeeping: it runs what is queued when it likes, and finds every misuse.

Work on a stream runs in order, but nothing says when: "late" runs it only when somebody waits for it, "soon"
at once, a number draws lots. A program whose result depends on that has a race. Device memory exists only
here, pinned memory is real; both begin as NaN, and freed memory is never handed out again.
"""

import ctypes
import random
from collections import deque
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

Work = Callable[[], None]


class Misuse(AssertionError):
    """The program broke a rule of CUDA; no BackendError, so that nothing swallows it."""


class Status(int):
    """What cuda-bindings returns first."""

    @property
    def name(self) -> str:
        return "cudaErrorInjected" if self else "cudaSuccess"


class Stream:
    def __init__(self, handle: int):
        self.handle = handle
        self.queue: deque[Work] = deque()
        self.captured: list[Work] | None = None  # a list while capturing


class FakeRuntime:
    """Stands for `cuda.bindings.runtime`."""

    cudaStreamNonBlocking, cudaEventBlockingSync, cudaEventDisableTiming = 1, 1, 2
    cudaMemcpyKind = SimpleNamespace(cudaMemcpyHostToDevice=1, cudaMemcpyDeviceToHost=2, cudaMemcpyDeviceToDevice=3)
    cudaStreamCaptureMode = SimpleNamespace(cudaStreamCaptureModeThreadLocal=1)

    def __init__(self, when: str | int = "late", fail_at: int | None = None):
        self.when, self.fail_at = when, fail_at
        self.dice = random.Random(when) if isinstance(when, int) else None
        self.calls: list[str] = []
        self.device: dict[int, np.ndarray] = {}
        self.host: dict[int, Any] = {}
        self.freed: list[Any] = []  # keeps freed pinned memory from being handed out again
        self.streams: dict[int, Stream] = {}
        self.events: dict[int, tuple[Stream, int] | None] = {}  # the stream, and how much of it was before
        self.graphs: dict[int, list[Work]] = {}
        self.executables: dict[int, list[Work]] = {}
        self._next = 1 << 40
        self._done: dict[int, int] = {}  # stream → pieces of work that have run
        self._queued: dict[int, int] = {}

    def held(self) -> dict[str, int]:
        """What has been taken and not given back."""
        kinds = ("device", "host", "streams", "events", "graphs", "executables")
        return {kind: len(getattr(self, kind)) for kind in kinds if getattr(self, kind)}

    # memory

    def cudaMalloc(self, size: int) -> Any:
        return self._begin("cudaMalloc") or (Status(0), self._keep(self.device, _nan(size), size))

    def cudaFree(self, devPtr: int) -> Any:
        return self._give_back("cudaFree", self.device, devPtr)

    def cudaMallocHost(self, size: int) -> Any:
        if failed := self._begin("cudaMallocHost"):
            return failed
        buffer = (ctypes.c_uint8 * size).from_buffer_copy(_nan(size).tobytes())
        self.host[ctypes.addressof(buffer)] = buffer
        return Status(0), ctypes.addressof(buffer)

    def cudaFreeHost(self, ptr: int) -> Any:
        if ptr in self.host:
            self.freed.append(self.host[ptr])
        return self._give_back("cudaFreeHost", self.host, ptr)

    def cudaMemcpyAsync(self, dst: int, src: int, count: int, kind: int, stream: int) -> Any:
        if failed := self._begin("cudaMemcpyAsync"):
            return failed
        places = {1: (self.device_view, self._pinned), 2: (self._pinned, self.device_view)}
        to, source = places.get(int(kind), (self.device_view, self.device_view))
        to(dst, count), source(src, count)  # both are checked now, and again when it runs

        def copy() -> None:
            to(dst, count)[...] = source(src, count)

        self.queue(stream, copy)
        return (Status(0),)

    def device_view(self, address: int, size: int) -> np.ndarray:
        """Device memory, which must lie within one allocation."""
        for base, memory in self.device.items():
            if base <= address and address + size <= base + len(memory):
                return memory[address - base : address - base + size]
        raise Misuse(f"{size} bytes at {address:#x} are not within the GPU's memory")

    def _pinned(self, address: int, size: int) -> np.ndarray:
        for base, buffer in self.host.items():
            if base <= address and address + size <= base + len(buffer):
                return np.frombuffer(buffer, np.uint8)[address - base : address - base + size]
        raise Misuse(f"{size} bytes at {address:#x} are not within pinned memory")

    # streams and events

    def cudaStreamCreateWithFlags(self, flags: int) -> Any:
        if failed := self._begin("cudaStreamCreateWithFlags"):
            return failed
        handle = self._keep(self.streams, None, 1)
        self.streams[handle] = Stream(handle)
        return Status(0), handle

    def cudaStreamDestroy(self, stream: int) -> Any:
        if self._live(self.streams, stream).queue:
            raise Misuse("a stream is destroyed with work on it")
        return self._give_back("cudaStreamDestroy", self.streams, stream)

    def cudaStreamSynchronize(self, stream: int) -> Any:
        if failed := self._begin("cudaStreamSynchronize"):
            return failed
        found = self._live(self.streams, stream)
        self._not_captured(found)
        self._run(found, self._queued.get(stream, 0))
        return (Status(0),)

    def cudaEventCreateWithFlags(self, flags: int) -> Any:
        return self._begin("cudaEventCreateWithFlags") or (Status(0), self._keep(self.events, None, 1))

    def cudaEventDestroy(self, event: int) -> Any:
        return self._give_back("cudaEventDestroy", self.events, event)

    def cudaEventRecord(self, event: int, stream: int) -> Any:
        if failed := self._begin("cudaEventRecord"):
            return failed
        self._live(self.events, event)
        self._not_captured(self._live(self.streams, stream))
        self.events[event] = (self.streams[stream], self._queued.get(stream, 0))
        return (Status(0),)

    def cudaEventSynchronize(self, event: int) -> Any:
        if failed := self._begin("cudaEventSynchronize"):
            return failed
        if (recorded := self._live(self.events, event)) is None:
            raise Misuse("waits for an event that was never recorded")
        self._run(*recorded)
        return (Status(0),)

    def cudaStreamWaitEvent(self, stream: int, event: int, flags: int) -> Any:
        if failed := self._begin("cudaStreamWaitEvent"):
            return failed
        if (recorded := self._live(self.events, event)) is None:
            raise Misuse("a stream waits for an event that was never recorded")
        self.queue(stream, lambda: self._run(*recorded))
        return (Status(0),)

    def queue(self, stream: int, work: Work) -> None:
        """Puts work on a stream, or into the graph that it is capturing."""
        found = self._live(self.streams, stream)
        if found.captured is not None:
            found.captured.append(work)
            return
        found.queue.append(work)
        self._queued[stream] = self._queued.get(stream, 0) + 1
        if self.when == "soon":
            self._run(found, self._queued[stream])

    def _run(self, stream: Stream, until: int) -> None:
        """Runs a stream's work up to the ``until``-th piece."""
        while self._done.get(stream.handle, 0) < until:
            work = stream.queue.popleft()
            self._done[stream.handle] = self._done.get(stream.handle, 0) + 1
            work()

    # graphs

    def cudaStreamBeginCapture(self, stream: int, mode: int) -> Any:
        if failed := self._begin("cudaStreamBeginCapture"):
            return failed
        found = self._live(self.streams, stream)
        self._not_captured(found)
        found.captured = []
        return (Status(0),)

    def cudaStreamEndCapture(self, stream: int) -> Any:
        found = self._live(self.streams, stream)
        work, found.captured = found.captured, None  # a failed one ends the capture too
        if failed := self._begin("cudaStreamEndCapture"):
            return failed
        if work is None:
            raise Misuse("ends a capture that was not begun")
        return Status(0), self._keep(self.graphs, work, 1)

    def capturing(self, stream: int) -> bool:
        return self._live(self.streams, stream).captured is not None

    def cudaGraphInstantiate(self, graph: int, flags: int) -> Any:
        if failed := self._begin("cudaGraphInstantiate"):
            return failed
        return Status(0), self._keep(self.executables, list(self._live(self.graphs, graph)), 1)

    def cudaGraphLaunch(self, graphExec: int, stream: int) -> Any:
        if failed := self._begin("cudaGraphLaunch"):
            return failed
        for work in self._live(self.executables, graphExec):
            self.queue(stream, lambda work=work: (self._live(self.executables, graphExec), work()))  # type: ignore[misc]
        return (Status(0),)

    def cudaGraphDestroy(self, graph: int) -> Any:
        return self._give_back("cudaGraphDestroy", self.graphs, graph)

    def cudaGraphExecDestroy(self, graphExec: int) -> Any:
        return self._give_back("cudaGraphExecDestroy", self.executables, graphExec)

    # bookkeeping

    def _begin(self, name: str) -> Any:
        """Counts the call; the result to return at once where this one is to fail."""
        self.calls.append(name)
        if self.dice is not None:
            busy = [stream for stream in self.streams.values() if stream.queue]
            for stream in self.dice.sample(busy, self.dice.randint(0, len(busy))):
                done = self._done.get(stream.handle, 0)
                self._run(stream, done + self.dice.randint(0, len(stream.queue)))
        return (Status(999), None) if len(self.calls) == self.fail_at else None

    def _give_back(self, name: str, kind: dict[int, Any], handle: int) -> Any:
        """CUDA may free a thing and yet return the failure of earlier work."""
        failed = self._begin(name)
        self._live(kind, handle)
        del kind[handle]
        return failed[:1] if failed else (Status(0),)

    def _keep(self, kind: dict[int, Any], what: Any, size: int) -> int:
        handle = self._next
        self._next += (size + 511) // 256 * 256  # aligned, and never adjacent
        kind[handle] = what
        return handle

    @staticmethod
    def _live(kind: dict[int, Any], handle: int) -> Any:
        if handle not in kind:
            raise Misuse(f"{handle:#x} is not there: never made, or given back before")
        return kind[handle]

    @staticmethod
    def _not_captured(stream: Stream) -> None:
        if stream.captured is not None:
            raise Misuse("a stream is waited for while it captures")


def _nan(size: int) -> np.ndarray:
    """Bytes that are NaN as float32 and float16."""
    return np.full(size, 0xFF, np.uint8)
