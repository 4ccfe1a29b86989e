"""What the CUDA driver says, with and without one. Its calls are tested with `wgan doctor`."""

from collections.abc import Callable
from typing import Any

import pytest

from wgan.serve.bench.process import device_memory
from wgan.serve.machine import gpu


def test_the_first_gpu_is_named_with_its_compute_capability(monkeypatch: pytest.MonkeyPatch) -> None:
    devices = (gpu.Gpu("NVIDIA H100 PCIe", (9, 0), 2**36), gpu.Gpu("NVIDIA T4", (7, 5), 2**34))
    monkeypatch.setattr(gpu, "query_driver", lambda: gpu.Driver(gpus=devices))
    assert gpu.first_gpu() == devices[0]
    assert str(gpu.first_gpu()) == "NVIDIA H100 PCIe (9.0)"


def test_a_driver_that_does_not_start_has_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "query_driver", lambda: gpu.Driver(problem="CUDA_ERROR_NO_DEVICE"))
    assert gpu.first_gpu() is None


class Library:
    """A driver and its management library for one GPU, of which 3 GiB are in use; each call can fail."""

    def __init__(self, fails: str = ""):
        self.fails, self.shut = fails, 0

    def __getattr__(self, name: str) -> Callable[..., int]:
        def call(*arguments: Any) -> int:
            if name == self.fails:
                return 3
            if name == "cuDeviceGetPCIBusId":
                arguments[0].value = b"0000:65:00.0"
            if name == "nvmlDeviceGetHandleByPciBusId_v2":
                assert arguments[0].value == b"0000:65:00.0"
            if name == "nvmlDeviceGetMemoryInfo":
                arguments[1]._obj.used = 3 * 2**30
            if name == "nvmlShutdown":
                self.shut += 1
            return 0

        return call


def test_memory_in_use_is_that_of_the_gpu_in_the_first_device_s_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library()
    monkeypatch.setattr(gpu, "_library", lambda *_: library)
    assert gpu.memory_in_use() == 3 * 2**30
    assert library.shut == 1
    assert device_memory(2**30) == 2 * 2**30
    assert device_memory(4 * 2**30) is None  # somebody else freed more


@pytest.mark.parametrize("call", ["cuInit", "cuDeviceGet", "nvmlInit_v2", "nvmlDeviceGetMemoryInfo"])
def test_memory_that_cannot_be_asked_is_not_known(monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    library = Library(fails=call)
    monkeypatch.setattr(gpu, "_library", lambda *_: library)
    assert gpu.memory_in_use() is None
    assert library.shut == (call == "nvmlDeviceGetMemoryInfo")


def test_without_a_driver_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(gpu.ctypes, "CDLL", absent)
    assert gpu.gpu_count() == 0
    assert gpu.memory_in_use() is None
    assert gpu.first_gpu() is None
