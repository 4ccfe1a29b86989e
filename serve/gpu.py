"""What the CUDA driver says of this machine, asked without any CUDA package."""

import ctypes
import sys
from dataclasses import dataclass

_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_*


@dataclass(frozen=True)
class Gpu:
    """A CUDA device: its name, and its compute capability as in `8.6`."""

    name: str
    compute_capability: str

    def __str__(self) -> str:
        return f"{self.name} ({self.compute_capability})"


def gpu_count() -> int:
    """How many CUDA devices the driver shows; 0 without a driver."""
    driver = _driver()
    count = ctypes.c_int(0)
    if driver is None or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


def first_gpu() -> Gpu | None:
    """The device that CUDA programs use if they name none; None without one."""
    driver = _driver()
    device, major, minor = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    name = ctypes.create_string_buffer(256)
    if (
        driver is None
        or driver.cuDeviceGet(ctypes.byref(device), 0) != 0
        or driver.cuDeviceGetName(name, len(name), device) != 0
        or driver.cuDeviceGetAttribute(ctypes.byref(major), _MAJOR, device) != 0
        or driver.cuDeviceGetAttribute(ctypes.byref(minor), _MINOR, device) != 0
    ):
        return None
    return Gpu(name.value.decode(errors="replace"), f"{major.value}.{minor.value}")


def _driver() -> ctypes.CDLL | None:
    """The driver's library, initialised; None where there is none or it shows no device."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return None
    return driver if driver.cuInit(0) == 0 else None
