"""A TensorRT engine on CUDA, with cuda-bindings alone: no torch, no pycuda.

What runs beside what, in `stream`:

    host     draws z 2        gets images 1     draws z 3        gets images 2     …
    compute  engine 1  |  engine 2  |  engine 3                                    …
    copies                 images 1  |  images 2                                   …

The engine's stream also takes the latents in, a few KB. Images, a hundred times as much, leave on a second
stream: on one stream a copy would hold up the next batch. Each of two slots has pinned memory on the host
and a copy of the images on the GPU, which costs a few µs there and keeps the engine's own buffers, and so
its CUDA graphs, in one place. A slot is used again when the caller has come back from its images.
"""

import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np

from wgan.serve.artifacts.artifact import Artifact
from wgan.serve.artifacts.formats import export_command
from wgan.serve.backends.base import Backend, Batch, Options
from wgan.serve.backends.cuda import Cuda
from wgan.serve.backends.trt.api import MODULES, naming_tensorrt
from wgan.serve.backends.trt.engine import TrtEngine
from wgan.serve.backends.trt.fit import check_fits, onnx_beside, runtime_of
from wgan.serve.base.command import RUNNERS, or_again
from wgan.serve.base.errors import BackendError, BackendUnavailable
from wgan.serve.machine.gpu import first_gpu

SLOTS = 2


class TrtBackend(Backend):
    """A deserialised engine, two streams, and two slots for its largest batch. For one thread at a time.

    ``trusted`` as for `open_artifact`.
    """

    name = "trt"
    device = "cuda"

    def __init__(self, artifact: Artifact, device: str = "auto", *, graphs: bool = True, trusted: bool = False):
        metadata = artifact.metadata
        super().__init__(metadata, metadata.payload_sha256, artifact.path)
        if device == "cpu":
            raise BackendUnavailable("the trt backend runs on CUDA only", mend=f"use {_with_onnx(artifact.path)}")
        if metadata.max_batch is None:
            way = export_command(artifact.path)
            raise BackendError(f"{artifact.path}: the engine's metadata has no max_batch: run `{way}`")
        api = runtime_of(artifact)
        gpu = first_gpu()
        if gpu is None:
            mend = f"here use {_with_onnx(artifact.path)}"
            raise BackendUnavailable("the trt backend needs an NVIDIA GPU and its driver", mend=mend)
        with naming_tensorrt(api, gpu):
            check_fits(artifact, api, gpu, trusted=trusted)
        self._in_use = threading.Lock()
        self._engine: TrtEngine | None = None
        self._cuda = Cuda(MODULES[api.__name__])
        try:
            self._compute, self._copies = self._cuda.stream(), self._cuda.stream()
            with naming_tensorrt(api, gpu):
                self._engine = TrtEngine(api, artifact, self._cuda, self._compute, graphs=graphs)
            self._slots = [_Slot(self._cuda, self._engine) for _ in range(SLOTS)]
        except BaseException:
            with suppress(BackendError):  # the first failure is the one to tell
                self.close()
            raise

    def _infer(self, z: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        (images,) = [batch.copy() for batch in self.stream([(z, labels)])]
        return images

    def stream(self, batches: Iterable[Batch]) -> Generator[np.ndarray, None, None]:
        """As `Backend.stream`, with the copies and the host's work beside the engine's.

        A batch beyond the engine's largest is served in pieces of that size and a rest at its own.
        """
        pieces: deque[int] = deque()  # of each batch in flight

        def cut() -> Iterator[dict[str, np.ndarray]]:
            for z, labels in batches:
                self._check(z, labels)
                inputs = {"z": z} if labels is None else {"z": z, "label": labels}
                starts = range(0, len(inputs["z"]), self._largest)
                pieces.append(len(starts))
                for start in starts:
                    yield {name: array[start : start + self._largest] for name, array in inputs.items()}

        parts = self._overlapped(cut())
        for images in parts:
            if (count := pieces.popleft()) > 1:
                # a piece's memory is used again for the next but one
                yield np.concatenate([images.copy(), *(next(parts).copy() for _ in range(count - 1))])
            else:
                yield images

    def _overlapped(self, batches: Iterator[dict[str, np.ndarray]]) -> Iterator[np.ndarray]:
        """The images of each batch, in order, as a view that holds until the next are asked for."""
        if not self._in_use.acquire(blocking=False):
            raise BackendError(f"{self.path} is in use: take all images of one stream before another, or open it twice")
        flying: deque[tuple[_Slot, int]] = deque()
        try:
            for turn, inputs in enumerate(batches):
                slot = self._slots[turn % SLOTS]
                flying.append((slot, len(inputs["z"])))
                self._submit(slot, inputs)
                if len(flying) == SLOTS:
                    yield self._images(*flying.popleft())
            while flying:
                yield self._images(*flying.popleft())
        finally:
            # what is still in flight if this was given up on does no harm: the streams keep what follows behind it
            self._in_use.release()

    def _submit(self, slot: "_Slot", inputs: dict[str, np.ndarray]) -> None:
        """Queues a batch: in, through the engine, and out to the slot. The slot's last images have been taken."""
        engine, cuda, count = self._open(), self._cuda, len(inputs["z"])
        for name, array in inputs.items():
            pinned = slot.inputs[name][:count]
            pinned[...] = array
            cuda.copy_in(engine.inputs[name].address, pinned, self._compute)
        engine.enqueue(count)
        self.notice = engine.notice
        cuda.copy_within(slot.staging, engine.output.address, engine.output.bytes(count), self._compute)
        cuda("cudaEventRecord", slot.computed, self._compute)
        cuda("cudaStreamWaitEvent", self._copies, slot.computed, 0)
        cuda.copy_out(slot.images[:count], slot.staging, self._copies)
        cuda("cudaEventRecord", slot.copied, self._copies)

    def _images(self, slot: "_Slot", count: int) -> np.ndarray:
        """Waits for a batch."""
        self._open()
        self._cuda("cudaEventSynchronize", slot.copied)
        return slot.images[:count]

    @property
    def _largest(self) -> int:
        return self._open().max_batch

    def _open(self) -> TrtEngine:
        if self._engine is None:
            raise BackendError(f"{self.path} has been closed: open it again")
        return self._engine

    def _drain(self) -> None:
        for stream in (self._compute, self._copies):
            self._cuda("cudaStreamSynchronize", stream)

    def close(self) -> None:
        """Waits for what is in flight, then frees engine, buffers and streams; a second call does nothing."""
        engine, self._engine = self._engine, None
        try:
            if engine is not None:
                try:
                    self._drain()
                finally:
                    engine.close()
        finally:
            self._cuda.close()


def open_engine(artifact: Artifact, device: str, _options: Options, trusted: bool) -> Backend:
    """An `Opener`."""
    return TrtBackend(artifact, device, trusted=trusted)


class _Slot:
    """One of the two halves of the double buffering, sized for the engine's largest batch."""

    def __init__(self, cuda: Cuda, engine: TrtEngine):
        most, output = engine.max_batch, engine.output
        self.inputs = {
            name: cuda.host_memory(tensor.bytes(most)).view(tensor.dtype).reshape(most, *tensor.sample)
            for name, tensor in engine.inputs.items()
        }
        self.staging = cuda.device_memory(output.bytes(most))
        self.images = cuda.host_memory(output.bytes(most)).view(output.dtype).reshape(most, *output.sample)
        self.computed, self.copied = cuda.event(), cuda.event()


def _with_onnx(path: Path) -> str:
    """The same command with the ONNX file beside the engine; without one, with the run's."""
    onnx = onnx_beside(path)
    if onnx.is_file():
        return or_again("--model", onnx, of=RUNNERS, without=("--backend", "--device"))
    return or_again("--backend", "onnx", of=RUNNERS, without=("--model",))
