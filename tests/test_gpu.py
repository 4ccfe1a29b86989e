"""What the CUDA driver says, with and without one."""

from typing import Any

import pytest

from wgan.serve import gpu


class Driver:
    """A driver with one device; one of its calls may fail."""

    def __init__(self, fails: str = ""):
        self.fails = fails

    def _result(self, call: str) -> int:
        return 100 if call == self.fails else 0

    def cuDeviceGetCount(self, count: Any) -> int:
        count._obj.value = 1
        return self._result("count")

    def cuDeviceGet(self, device: Any, ordinal: int) -> int:
        device._obj.value = 70 + ordinal
        return self._result("get")

    def cuDeviceGetName(self, name: Any, size: int, device: Any) -> int:
        name.value = b"NVIDIA H100 PCIe"[: size - 1]
        return self._result("name") if device.value == 70 else 101

    def cuDeviceGetAttribute(self, value: Any, attribute: int, device: Any) -> int:
        value._obj.value = {75: 9, 76: 0}[attribute]
        return self._result("attribute") if device.value == 70 else 101


def test_the_first_gpu_is_named_with_its_compute_capability(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "_driver", Driver)
    assert gpu.gpu_count() == 1
    assert gpu.first_gpu() == gpu.Gpu("NVIDIA H100 PCIe", "9.0")
    assert str(gpu.first_gpu()) == "NVIDIA H100 PCIe (9.0)"


@pytest.mark.parametrize("fails", ["get", "name", "attribute"])
def test_a_driver_that_fails_is_no_gpu(monkeypatch: pytest.MonkeyPatch, fails: str) -> None:
    monkeypatch.setattr(gpu, "_driver", lambda: Driver(fails))
    assert gpu.first_gpu() is None


def test_without_a_driver_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(gpu.ctypes, "CDLL", absent)
    assert gpu.gpu_count() == 0
    assert gpu.first_gpu() is None
