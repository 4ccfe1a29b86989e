"""What the NVIDIA driver says of this machine, asked without any CUDA package."""

import ctypes
import sys
from dataclasses import dataclass
from typing import Any

WINDOWS = sys.platform == "win32"
_CAPABILITY = (75, 76)  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR


@dataclass(frozen=True)
class Gpu:
    """One CUDA device."""

    name: str
    capability: tuple[int, int]
    memory: int  # bytes

    @property
    def compute_capability(self) -> str:
        """As in `8.6`."""
        return ".".join(map(str, self.capability))

    def __str__(self) -> str:
        return f"{self.name} ({self.compute_capability})"


@dataclass(frozen=True)
class Driver:
    """The installed driver and the devices that it shows."""

    release: str | None = None  # 580.82.07
    cuda: tuple[int, int] | None = None  # the newest CUDA that it runs
    gpus: tuple[Gpu, ...] = ()
    problem: str | None = None  # the name of the error with which it does not start


def gpu_count() -> int:
    """How many CUDA devices the driver shows; 0 without a driver."""
    driver = _library("nvcuda.dll", "libcuda.so.1")
    count = ctypes.c_int(0)
    if driver is None or driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


def query_driver() -> Driver | None:
    """The driver of this machine; None if none is installed."""
    cuda = _library("nvcuda.dll", "libcuda.so.1")
    if cuda is None:
        return None
    release = _release()
    version = ctypes.c_int(0)
    newest = None
    if cuda.cuDriverGetVersion(ctypes.byref(version)) == 0 and version.value:
        newest = version.value // 1000, version.value % 1000 // 10
    status = cuda.cuInit(0)
    if status != 0:
        return Driver(release, newest, problem=_error_name(cuda, status))
    count = ctypes.c_int(0)
    status = cuda.cuDeviceGetCount(ctypes.byref(count))
    if status != 0:
        return Driver(release, newest, problem=_error_name(cuda, status))
    return Driver(release, newest, tuple(_gpu(cuda, index) for index in range(count.value)))


def first_gpu() -> Gpu | None:
    """The device that CUDA programs use if they name none; None without one."""
    driver = query_driver()
    return driver.gpus[0] if driver is not None and driver.gpus else None


def memory_in_use() -> int | None:
    """Bytes that all programs together use on the first CUDA device; None without one, or without NVML.

    Asked of the management library: a context of this process's own would use memory itself.
    """
    cuda, management = _library("nvcuda.dll", "libcuda.so.1"), _library("nvml.dll", "libnvidia-ml.so.1")
    if cuda is None or management is None or cuda.cuInit(0) != 0:
        return None
    device, place = ctypes.c_int(0), ctypes.create_string_buffer(32)
    # CUDA and NVML number devices each in their own way: the slot is the same for both
    if cuda.cuDeviceGet(ctypes.byref(device), 0) != 0 or cuda.cuDeviceGetPCIBusId(place, len(place), device) != 0:
        return None
    if management.nvmlInit_v2() != 0:
        return None
    try:
        handle, memory = ctypes.c_void_p(), _Memory()
        if management.nvmlDeviceGetHandleByPciBusId_v2(place, ctypes.byref(handle)) != 0:
            return None
        if management.nvmlDeviceGetMemoryInfo(handle, ctypes.byref(memory)) != 0:
            return None
        return int(memory.used)
    finally:
        management.nvmlShutdown()


class _Memory(ctypes.Structure):
    """nvmlMemory_t, in bytes."""

    _fields_ = [(name, ctypes.c_ulonglong) for name in ("total", "free", "used")]


def _gpu(cuda: Any, index: int) -> Gpu:
    device = ctypes.c_int(0)
    cuda.cuDeviceGet(ctypes.byref(device), index)
    name = ctypes.create_string_buffer(128)
    cuda.cuDeviceGetName(name, len(name), device)
    capability = []
    for attribute in _CAPABILITY:
        value = ctypes.c_int(0)
        cuda.cuDeviceGetAttribute(ctypes.byref(value), attribute, device)
        capability.append(value.value)
    memory = ctypes.c_size_t(0)
    cuda.cuDeviceTotalMem_v2(ctypes.byref(memory), device)
    return Gpu(name.value.decode(errors="replace"), (capability[0], capability[1]), memory.value)


def _error_name(cuda: Any, status: int) -> str:
    name = ctypes.c_char_p()
    if cuda.cuGetErrorName(status, ctypes.byref(name)) != 0 or not name.value:
        return f"CUDA error {status}"
    return name.value.decode(errors="replace")


def _release() -> str | None:
    """The driver's version, which its management library alone tells."""
    management = _library("nvml.dll", "libnvidia-ml.so.1")
    if management is None or management.nvmlInit_v2() != 0:
        return None
    try:
        text = ctypes.create_string_buffer(96)
        if management.nvmlSystemGetDriverVersion(text, len(text)) != 0:
            return None
        return text.value.decode(errors="replace")
    finally:
        management.nvmlShutdown()


def _library(windows: str, others: str) -> Any:
    try:
        return ctypes.CDLL(windows if WINDOWS else others)
    except OSError:
        return None
