"""What `CudaRecorder` leaves of a recording that fails: nothing, on every torch. CUDA is a stand-in; none has run."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from wgan.training.step import fast
from wgan.training.step.fast import CudaRecorder

POOL = (0, 1)


class Generator:
    """A generator of CUDA: a broken recording leaves it refusing, until its inside is another."""

    def __init__(self, device: str = "cuda"):
        self.device, self.inside = device, {"state": 0, "refuses": False}

    def get_state(self) -> int:
        return int(self.inside["state"])

    def set_state(self, state: int) -> None:
        self.inside["state"] = state

    def graphsafe_get_state(self) -> dict[str, Any]:
        return self.inside

    def graphsafe_set_state(self, inside: dict[str, Any]) -> None:
        self.inside = inside


class FakeTorch:
    """The state of a process that records, and what each torch does of it when a recording cannot be ended.

    2.11 raises at once. 2.12 ends the pool's allocation first, 2.15 also gives the pool and the stream back.
    """

    def __init__(self, version: str):
        self.version = version
        self.stream: object = "default"
        self.open: list[Any] = []  # pools that memory comes from
        self.users = 0  # of the pool: its memory is free when there is none
        self.held: list[Any] = []

    def graph(self, graph: Any, pool: Any, stream: Any) -> "FakeTorch":
        self.recording, self.before = stream, self.stream
        return self

    def __enter__(self) -> None:
        self.stream = self.recording
        self.open.append(POOL)
        self.users += 1
        for generator in self.held:
            generator.inside["refuses"] = True

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if error is None:
            self.open.remove(POOL)
            self.stream = self.before
            for generator in self.held:
                generator.inside["refuses"] = False
            return
        if self.version >= "2.12":
            self.open.remove(POOL)
        if self.version >= "2.15":
            self.users -= 1
            self.stream = self.before
        raise RuntimeError("operation failed due to a previous error during capture")

    def end_pool(self, device: int, pool: Any) -> None:
        if pool not in self.open:
            raise RuntimeError("endAllocatePool: not currently recording to mempool_id")
        self.open.remove(pool)

    def release_pool(self, device: int, pool: Any) -> None:
        self.users -= 1
        assert self.users >= 0, "released twice: torch ends the process"

    def installed(self, monkeypatch: pytest.MonkeyPatch, generator: Generator) -> "FakeTorch":
        default = Generator()
        self.held = [generator, default]
        names: dict[str, Any] = {
            "graph": self.graph,
            "CUDAGraph": lambda: SimpleNamespace(register_generator_state=lambda g: None, replay=lambda: None),
            "Stream": lambda device: "recording",
            "current_stream": lambda device: self.stream,
            "set_stream": lambda stream: setattr(self, "stream", stream),
            "graph_pool_handle": lambda: POOL,
            "current_device": lambda: 0,
            "default_generators": [default],
        }
        for name, value in names.items():
            monkeypatch.setattr(fast.torch.cuda, name, value)
        monkeypatch.setattr(fast.torch, "Generator", Generator)
        monkeypatch.setattr(fast.torch._C, "_cuda_endAllocateToPool", self.end_pool, raising=False)
        monkeypatch.setattr(fast.torch._C, "_cuda_releasePool", self.release_pool, raising=False)
        return self


@pytest.mark.parametrize("version", ["2.11", "2.12", "2.15"])
def test_a_failed_recording_leaves_neither_its_stream_nor_its_pool_nor_its_generators(
    version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = Generator()
    here = FakeTorch(version).installed(monkeypatch, random)
    recorder = CudaRecorder(torch.device("cuda"), random)  # type: ignore[arg-type]

    def draw_and_break() -> None:
        assert here.stream == "recording"
        random.set_state(7)
        raise ValueError("cannot be recorded")

    with pytest.raises(RuntimeError, match="previous error"):
        recorder.record(draw_and_break)
    assert here.stream == "default"
    assert here.open == []
    assert here.users == (1 if version == "2.12" else 0)  # there nobody can tell whether torch let go of it
    assert [generator.inside for generator in here.held] == [{"state": 0, "refuses": False}] * 2

    recorder.record(lambda: None)  # the next trainer's
    assert here.stream == "default"
    assert here.open == []


def test_a_recording_that_succeeds_keeps_its_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    random = Generator()
    here = FakeTorch("2.11").installed(monkeypatch, random)
    CudaRecorder(torch.device("cuda"), random).record(lambda: None)  # type: ignore[arg-type]
    assert (here.stream, here.open, here.users) == ("default", [], 1)


def test_the_names_that_only_torch_itself_uses_are_there() -> None:
    assert {"_cuda_endAllocateToPool", "_cuda_releasePool"} <= set(dir(torch._C))
