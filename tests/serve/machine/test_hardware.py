"""What a figure of speed was measured on."""

import pytest

from wgan.serve.machine import hardware
from wgan.serve.machine.gpu import Gpu
from wgan.serve.machine.hardware import Cpu, computes_on


def test_a_device_has_the_name_of_what_it_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "cpu", lambda: Cpu("AMD EPYC 9B14", 1))
    monkeypatch.setattr(hardware, "first_gpu", lambda: Gpu("NVIDIA H200", (9, 0), 2**37))
    assert computes_on("cpu") == "AMD EPYC 9B14, 1 thread"
    assert computes_on("cuda") == "NVIDIA H200"
    monkeypatch.setattr(hardware, "first_gpu", lambda: None)
    monkeypatch.setattr(hardware, "cpu", lambda: Cpu("AMD EPYC 9B14", 4))
    assert computes_on("cuda") == "AMD EPYC 9B14, 4 threads"
