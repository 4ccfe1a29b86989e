"""What the CUDA driver says, with and without one. Its calls are tested with `wgan doctor`."""

import pytest

from wgan.serve import gpu


def test_the_first_gpu_is_named_with_its_compute_capability(monkeypatch: pytest.MonkeyPatch) -> None:
    devices = (gpu.Gpu("NVIDIA H100 PCIe", (9, 0), 2**36), gpu.Gpu("NVIDIA T4", (7, 5), 2**34))
    monkeypatch.setattr(gpu, "query_driver", lambda: gpu.Driver(gpus=devices))
    assert gpu.first_gpu() == devices[0]
    assert str(gpu.first_gpu()) == "NVIDIA H100 PCIe (9.0)"


def test_a_driver_that_does_not_start_has_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "query_driver", lambda: gpu.Driver(problem="CUDA_ERROR_NO_DEVICE"))
    assert gpu.first_gpu() is None


def test_without_a_driver_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(gpu.ctypes, "CDLL", absent)
    assert gpu.gpu_count() == 0
    assert gpu.first_gpu() is None
