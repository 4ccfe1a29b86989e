"""TensorRT's runtime half on the fake CUDA beside it: an engine whose arithmetic is a numpy function.

Every public attribute here is one of the real bindings (a test compares them), so what runs on these classes
uses nothing that the real ones lack.
"""

import enum
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.fakes.cuda import FakeRuntime, Misuse

Compute = Callable[..., np.ndarray]


class TensorIOMode(enum.Enum):
    NONE, INPUT, OUTPUT = range(3)


class ExecutionContextAllocationStrategy(enum.Enum):
    STATIC, ON_PROFILE_CHANGE, USER_MANAGED = range(3)


class CudaGraphStrategy(enum.Enum):
    DISABLED, WHOLE_GRAPH_CAPTURE = range(2)


class EngineValidity(enum.Enum):
    VALID, SUBOPTIMAL, INVALID = range(3)


class EngineInvalidityDiagnostics(enum.IntFlag):
    VERSION_MISMATCH, UNSUPPORTED_CC, OLD_CUDA_DRIVER = 1, 2, 4


class ILogger:
    pass


class IRuntimeConfig:
    cuda_graph_strategy = CudaGraphStrategy.DISABLED


class IExecutionContext:
    def __init__(self, engine: "ICudaEngine", workspace: bool):
        self._engine = engine
        self._cuda = engine._api._cuda
        self._needs_workspace = workspace
        self._workspace: tuple[int, int] | None = None
        self._addresses: dict[str, int] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._settled: dict[str, tuple[int, ...]] | None = None  # the shapes of the last run
        self._state = 0  # a graph is bound to it

    def set_device_memory(self, memory: int, size: int) -> None:
        if memory % 256 or size < self._engine.device_memory_size_v2:
            raise Misuse("the workspace is too small or not aligned")
        self._cuda.device_view(memory, size)
        self._workspace, self._state = (memory, size), self._state + 1

    def set_tensor_address(self, name: str, memory: int) -> bool:
        if self._engine._api._fails("set_tensor_address"):
            return False
        if name not in self._engine._tensors:
            return False
        self._addresses[name], self._state = memory, self._state + 1
        return True

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        mode, _dtype, sample = self._engine._tensors[name]
        assert mode is TensorIOMode.INPUT
        if self._engine._api._fails("set_input_shape"):
            return False
        if tuple(shape[1:]) != sample or not 1 <= shape[0] <= self._engine._most:
            return False
        if self._shapes.get(name) != tuple(shape):
            self._shapes[name], self._state = tuple(shape), self._state + 1
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        if self._engine._api._fails("execute_async_v3"):
            return False
        tensors, cuda = self._engine._tensors, self._cuda
        if set(self._addresses) != set(tensors):
            raise Misuse("runs before every tensor has an address")
        if self._needs_workspace and self._workspace is None:
            raise Misuse("runs without its workspace")
        if cuda.capturing(stream_handle) and self._settled != self._shapes:
            raise Misuse("is captured before a run has settled its shapes")
        captured = cuda.capturing(stream_handle)
        shapes, addresses, workspace, state = dict(self._shapes), dict(self._addresses), self._workspace, self._state
        self._settled = shapes
        compute, alive = self._engine._api._compute, weakref.ref(self)

        def work() -> None:
            context = alive()
            if context is None:
                raise Misuse("runs after its context was let go of")
            if captured and state != context._state:
                raise Misuse("a graph runs after its context was changed")
            if workspace is not None:
                cuda.device_view(*workspace)[...] = 0xFF
            inputs = {}
            for name, shape in shapes.items():
                dtype = np.dtype(tensors[name][1])
                size = int(np.prod(shape)) * dtype.itemsize
                inputs[name] = cuda.device_view(addresses[name], size).view(dtype).reshape(shape)
            images = np.ascontiguousarray(compute(**inputs))
            cuda.device_view(addresses["image"], images.nbytes)[...] = images.reshape(-1).view(np.uint8)

        cuda.queue(stream_handle, work)
        return True


class ICudaEngine:
    device_memory_size_v2 = 1000

    def __init__(self, api: Any):
        self._api = api
        self._tensors: dict[str, tuple[TensorIOMode, Any, tuple[int, ...]]] = api._tensors
        self._most = api._most
        self.num_io_tensors = len(self._tensors)

    def get_tensor_name(self, index: int) -> str:
        return list(self._tensors)[index]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return self._tensors[name][0]

    def get_tensor_dtype(self, name: str) -> Any:
        return self._tensors[name][1]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return (-1, *self._tensors[name][2])

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[tuple[int, ...]]:
        return [(size, *self._tensors[name][2]) for size in (1, self._most, self._most)]

    def create_runtime_config(self) -> IRuntimeConfig:
        return IRuntimeConfig()

    def create_execution_context(self, how: Any) -> IExecutionContext | None:
        if self._api._fails("create_execution_context"):
            return None
        return IExecutionContext(self, how is ExecutionContextAllocationStrategy.USER_MANAGED)


class Runtime:
    engine_host_code_allowed = False
    _api: Any

    def __init__(self, logger: Any):
        self._logger = logger

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> ICudaEngine | None:
        if self._api._fails("deserialize_cuda_engine"):
            self._logger.log(1, "the magic tag\ndoes not match")
            return None
        self._api._host_code = self.engine_host_code_allowed
        return ICudaEngine(self._api)


class RtxRuntime(Runtime):
    def get_engine_validity(self, buffer: bytes) -> tuple[EngineValidity, int]:
        found: tuple[EngineValidity, int] = self._api._validity
        return found


class FakeTensorrt:
    """The module `tensorrt`.

    Args:
        cuda: where it runs.
        compute: z (and label) → image.
        tensors: name → mode, numpy type, shape of one.
        most: the profile's largest batch.
        fail: the name of a method, and which call of it fails, counted from 1.
    """

    __name__, __version__ = "tensorrt", "10.9.0.34"
    ILogger = ILogger
    TensorIOMode = TensorIOMode
    ExecutionContextAllocationStrategy = ExecutionContextAllocationStrategy

    def __init__(
        self, cuda: FakeRuntime, compute: Compute, tensors: dict[str, Any], most: int, fail: tuple[str, int] = ("", 0)
    ):
        self._cuda, self._compute, self._tensors, self._most = cuda, compute, tensors, most
        self._fail, self._counts = fail, dict[str, int]()
        self._host_code: bool | None = None
        self.Runtime = type("Runtime", (self._runtime(),), {"_api": self})

    @staticmethod
    def _runtime() -> type[Runtime]:
        return Runtime

    @staticmethod
    def nptype(trt_type: Any) -> Any:
        return trt_type

    def _fails(self, method: str) -> bool:
        self._counts[method] = self._counts.get(method, 0) + 1
        return self._fail == (method, self._counts[method])


class FakeRtx(FakeTensorrt):
    """The module `tensorrt_rtx`."""

    __name__, __version__ = "tensorrt_rtx", "1.7.1.116"
    CudaGraphStrategy = CudaGraphStrategy
    EngineValidity = EngineValidity
    EngineInvalidityDiagnostics = EngineInvalidityDiagnostics
    _validity = (EngineValidity.VALID, 0)

    @staticmethod
    def _runtime() -> type[Runtime]:
        return RtxRuntime
