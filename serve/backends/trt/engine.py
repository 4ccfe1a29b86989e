"""A deserialised TensorRT engine: what goes in and out of it, queued on a stream for any batch that it takes."""

from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Any

import numpy as np

from wgan.serve.artifacts.artifact import Artifact
from wgan.serve.backends.cuda import Cuda, Graph
from wgan.serve.backends.trt.api import collecting_logger, makes_own_graphs, open_engine
from wgan.serve.backends.trt.fit import remedy
from wgan.serve.base.errors import ArtifactError, BackendError

GRAPHS = 4  # batch sizes whose CUDA graph is kept; each holds an execution context
TYPES, OUTPUT = {"z": np.float32, "label": np.int64}, "image"


@dataclass(frozen=True)
class Tensor:
    """An input or the output: (N, *sample) of a type, and where on the GPU it lies for the largest batch."""

    name: str
    dtype: np.dtype[Any]
    sample: tuple[int, ...]
    address: int

    def bytes(self, count: int) -> int:
        """The size of ``count`` samples."""
        return count * int(np.prod(self.sample)) * self.dtype.itemsize


class TrtEngine:
    """The engine of an artifact, its buffers on the GPU, and its execution contexts.

    A batch size that comes back soon gets a CUDA graph: launching it replaces the many launches of its
    layers. A graph is bound to the state of its context, so each has a context of its own; they share one
    workspace, as only one runs at a time. TensorRT-RTX makes its graphs itself, in one context.

    Args:
        api: the TensorRT module.
        artifact: the plan.
        cuda: owns the buffers and the graphs.
        stream: what everything is queued on.
        graphs: whether to use CUDA graphs.

    Raises:
        ArtifactError: what it takes and gives is not what its metadata says.
        BackendError: it does not load, or there is too little memory.
    """

    def __init__(self, api: Any, artifact: Artifact, cuda: Cuda, stream: Any, *, graphs: bool = True):
        self._api, self._cuda, self._stream, self._path = api, cuda, stream, artifact.path
        self._graphs = graphs
        self.notice: str | None = None  # what a user should know of how it runs
        self._logger = collecting_logger(api)
        host_code = (artifact.metadata.engine or {}).get("version_compatible") is True
        self._runtime, self._engine = open_engine(api, self._logger, artifact.data, host_code)
        if self._engine is None:
            raise BackendError(f"{artifact.path} does not load here: {self._logger.reason}; {remedy(artifact.path)}")
        self.max_batch = artifact.metadata.max_batch or 0
        self.inputs, self.output = self._tensors({"z"} if artifact.metadata.classes is None else {"z", "label"})
        self._check_profile(artifact)
        self._check_image(artifact)
        self._captured: OrderedDict[int, tuple[Any, Graph]] = OrderedDict()  # batch size → context, graph
        self._recent: deque[int] = deque(maxlen=GRAPHS)  # batch sizes that ran without a graph
        self._workspace = 0
        self._plain = self._new_context()

    def _tensors(self, wanted: set[str]) -> tuple[dict[str, Tensor], Tensor]:
        """The inputs and the output that the engine itself declares, each with its buffer."""
        engine = self._engine
        inputs: dict[str, Tensor] = {}
        outputs: dict[str, Tensor] = {}
        for index in range(engine.num_io_tensors):
            name = engine.get_tensor_name(index)
            batch, *sample = engine.get_tensor_shape(name)
            if batch != -1 or min(sample, default=1) < 1:
                raise ArtifactError(f"{self._path}: tensor {name} has shape {(batch, *sample)}: only N may be dynamic")
            kind = inputs if engine.get_tensor_mode(name) == self._api.TensorIOMode.INPUT else outputs
            kind[name] = Tensor(name, np.dtype(self._api.nptype(engine.get_tensor_dtype(name))), tuple(sample), 0)
        if set(inputs) != wanted or set(outputs) != {OUTPUT}:
            raise ArtifactError(
                f"{self._path} takes {sorted(inputs)} and gives {sorted(outputs)}: not the generator of its metadata"
            )
        placed = {
            name: Tensor(name, tensor.dtype, tensor.sample, self._cuda.device_memory(tensor.bytes(self.max_batch)))
            for name, tensor in {**inputs, **outputs}.items()
        }
        return {name: placed[name] for name in inputs}, placed[OUTPUT]

    def _check_profile(self, artifact: Artifact) -> None:
        wanted = {"z": (artifact.metadata.latent.dim,), "label": ()}
        for name, tensor in self.inputs.items():
            most = self._engine.get_tensor_profile_shape(name, 0)[2][0]
            if most != self.max_batch or tensor.sample != wanted[name] or tensor.dtype != TYPES[name]:
                raise ArtifactError(
                    f"{self._path}: the engine takes {name} {tensor.dtype} {(most, *tensor.sample)} at most, its "
                    f"metadata says {np.dtype(TYPES[name])} {(self.max_batch, *wanted[name])}: export it again"
                )

    def _check_image(self, artifact: Artifact) -> None:
        image, output = artifact.metadata.image, self.output
        if output.dtype != image.dtype or output.sample != image.shape:
            raise ArtifactError(
                f"{self._path}: the engine gives image {output.dtype} {output.sample}, its metadata says "
                f"{image.dtype} {image.shape}: export it again"
            )

    def _new_context(self) -> Any:
        engine, api = self._engine, self._api
        if makes_own_graphs(api):
            config = engine.create_runtime_config()
            strategy = api.CudaGraphStrategy
            config.cuda_graph_strategy = strategy.WHOLE_GRAPH_CAPTURE if self._graphs else strategy.DISABLED
            context = engine.create_execution_context(config)
        else:
            context = engine.create_execution_context(api.ExecutionContextAllocationStrategy.USER_MANAGED)
        if context is None:
            raise BackendError(f"TensorRT has no memory for {self._path}'s execution context: {self._logger.reason}")
        if not makes_own_graphs(api):
            size = max(1, engine.device_memory_size_v2)
            self._workspace = self._workspace or self._cuda.device_memory(size)
            context.set_device_memory(self._workspace, size)
        for tensor in (*self.inputs.values(), self.output):
            if not context.set_tensor_address(tensor.name, tensor.address):
                raise BackendError(f"{self._path}: TensorRT refuses {tensor.name}'s buffer: {self._logger.reason}")
        return context

    def enqueue(self, count: int) -> None:
        """Queues a run over the first ``count`` samples of the input buffers."""
        if not self._graphs or makes_own_graphs(self._api):
            self._run(self._plain, count)
        elif count in self._captured:
            self._captured.move_to_end(count)
            self._captured[count][1].launch(self._stream)
        elif count in self._recent:
            self._capture(count)
        else:
            self._recent.append(count)
            self._run(self._plain, count)

    def _capture(self, count: int) -> None:
        """Runs once in a new context, which settles its shapes, and captures the next run."""
        if len(self._captured) == GRAPHS:
            self._cuda("cudaStreamSynchronize", self._stream)  # it may still be in flight
            self._captured.popitem(last=False)[1][1].close()
        try:
            context = self._new_context()
        except BackendError as error:
            self._give_up_graphs(error)
            self._run(self._plain, count)
            return
        self._run(context, count)
        try:
            self._captured[count] = context, self._cuda.capture(self._stream, lambda: self._execute(context))
        except BackendError as error:
            # the batch itself is on its way
            self._give_up_graphs(error)
            self._cuda("cudaStreamSynchronize", self._stream)  # this context goes now

    def _give_up_graphs(self, error: BackendError) -> None:
        """Goes on without graphs, which costs speed, and notes why."""
        self._graphs, self.notice = False, f"{self._path} runs without CUDA graphs: {error}"

    def _run(self, context: Any, count: int) -> None:
        for tensor in self.inputs.values():
            if not context.set_input_shape(tensor.name, (count, *tensor.sample)):
                raise BackendError(f"{self._path} refuses a batch of {count}: {self._logger.reason}")
        self._execute(context)

    def _execute(self, context: Any) -> None:
        if not context.execute_async_v3(int(self._stream)):
            raise BackendError(f"TensorRT failed: {self._logger.reason}")

    def close(self) -> None:
        """Frees graphs, contexts and the engine; nothing may be in flight. The buffers are `Cuda`'s."""
        try:
            while self._captured:
                self._captured.popitem()[1][1].close()
        finally:
            del self._plain, self._engine, self._runtime
