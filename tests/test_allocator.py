"""On a CPU a step's memory is kept for the next one."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
import torch
from wgan.training.step.allocator import keep_freed_memory
if sys.argv[1] == "kept":
    assert keep_freed_memory()
for _ in range(20):  # the heap grows until what is freed fits what is asked for
    torch.zeros(2**25)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    torch.zeros(2**25)  # 128 MiB
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="asks glibc")
def test_memory_that_was_freed_is_used_again() -> None:
    assert page_faults("kept") * 10 < page_faults("given back")


def test_a_trainer_on_a_cpu_keeps_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from wgan.training.config import Config
    from wgan.training.distributed import World
    from wgan.training.step import fast

    called: list[bool] = []
    monkeypatch.setattr(fast, "keep_freed_memory", lambda: called.append(True))
    fast.Fast(Config(), torch.device("cpu"), World())
    assert called == [True]
