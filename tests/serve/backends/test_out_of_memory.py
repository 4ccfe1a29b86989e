"""Memory that runs out is told apart from other failures, and costs a smaller batch, not an image."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch

from wgan.cli import main
from wgan.export.reference.torch_backend import TorchBackend
from wgan.serve.backends.base import Backend
from wgan.serve.backends.cuda import Cuda
from wgan.serve.backends.memory import runtime_failure
from wgan.serve.backends.onnxrt import backend as onnx_backend
from wgan.serve.backends.open import open_backend
from wgan.serve.base.errors import BackendError, BackendOutOfMemory
from wgan.serve.latents.sources import from_table
from wgan.serve.outputs.shards import Part, ShardSet
from wgan.serve.sampling import sampler
from wgan.serve.sampling.run import Job
from wgan.serve.sampling.sampler import sample


class Cramped(Backend):
    """Has memory for so many images at a time, from its third batch on."""

    name, device = "cramped", "cpu"

    def __init__(self, inner: Backend, room: int):
        super().__init__(inner.metadata, inner.digest, inner.path)
        self.inner, self.room, self.runs = inner, room, 0
        self.steady_batch = inner.steady_batch

    def _infer(self, z: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        self.runs += 1
        if self.runs > 2 and len(z) > self.room:
            raise runtime_failure("cramped", MemoryError(), len(z))
        return self.inner.run(z, labels)

    def close(self) -> None:
        self.inner.close()


@pytest.mark.parametrize("name", ["generator.onnx", "generator.ts", "generator.uint8.onnx"])
@pytest.mark.parametrize("room", [16, 20, 33])
def test_a_batch_that_does_not_fit_is_halved_and_no_bit_changes(
    tiny_export: Path, tmp_path: Path, name: str, room: int
) -> None:
    path = tiny_export / name
    if not path.is_file():
        from wgan.export import exporter
        from wgan.export.reference.generator import load_generator

        generator = load_generator(tiny_export / "generator.pt")
        (made,) = exporter.export(generator, tmp_path, ["onnx"], output="uint8", max_batch=4)
        path = made.path
    with open_backend(path, device="cpu") as plain:
        wanted = np.concatenate([images for _, images, _ in sample(plain, 7, 290, 64)])
    said: list[str] = []
    with Cramped(open_backend(path, device="cpu"), room) as backend:
        parts = list(sample(backend, 7, 290, 64, shrink=said.append))
    assert [first for first, _, _ in parts] == list(np.cumsum([7, *(len(images) for _, images, _ in parts[:-1])]))
    assert np.array_equal(np.concatenate([images for _, images, _ in parts]), wanted)
    halved = {16: [(64, 32), (32, 16)], 20: [(64, 32), (32, 16)], 33: [(64, 32)]}[room]
    assert said == [f"cramped on cpu ran out of memory for {a} images at a time: now {b}" for a, b in halved]


def test_a_batch_that_did_not_fit_is_not_tried_again_at_the_next_shard(tiny_export: Path, tmp_path: Path) -> None:
    said: list[str] = []
    with Cramped(open_backend(tiny_export / "generator.onnx", device="cpu"), 8) as backend:
        backend.runs = 2  # no room from the first batch on
        run = Job(backend, from_table(backend.metadata.latent.dim, 0, 400, None), None, 64, said.append)
        assert run.shards(ShardSet(tmp_path / "a.npy", 0, 400, 100), Part(), said.append) == (400, 4, 0)
        assert backend.runs == 2 + 3 + 4 * 13  # three that failed, then batches of eight
    assert [int(line.split()[-1]) for line in said] == [32, 16, 8]
    shards = [np.load(tmp_path / f"a-{number:06d}.npy") for number in range(4)]
    with open_backend(tiny_export / "generator.onnx", device="cpu") as plain:
        wanted = np.concatenate([images for _, images, _ in sample(plain, 0, 400, 64)])
    assert np.array_equal(np.concatenate(shards), wanted)


def test_it_is_an_error_where_the_batch_was_asked_for_or_can_be_no_smaller(tiny_export: Path) -> None:
    path = tiny_export / "generator.onnx"
    with (
        Cramped(open_backend(path, device="cpu"), 33) as backend,
        pytest.raises(BackendOutOfMemory, match="^cramped ran out of memory for 64 images at a time: free some, or"),
    ):
        list(sample(backend, 0, 290, 64))
    said: list[str] = []
    with (
        Cramped(open_backend(path, device="cpu"), 0) as backend,
        pytest.raises(BackendOutOfMemory, match="ran out of memory for one image at a time"),
    ):
        list(sample(backend, 0, 290, 64, shrink=said.append))
    assert [int(line.split()[-1]) for line in said] == [32, 16, 8, 4, 2, 1]
    with Cramped(open_backend(tiny_export / "generator.ts", device="cpu"), 0) as backend:
        said.clear()
        # smaller batches than the steady one are filled up to it: they would need as much
        with pytest.raises(BackendOutOfMemory, match="for 16 images"):
            list(sample(backend, 0, 290, 64, shrink=said.append))
        assert len(said) == 2


def test_another_failure_is_not_taken_for_it(tiny_export: Path) -> None:
    class Failing(Cramped):
        def _infer(self, z: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
            raise runtime_failure("cramped", RuntimeError("shape\nmismatch"), len(z))

    said: list[str] = []
    with (
        Failing(open_backend(tiny_export / "generator.onnx", device="cpu"), 0) as backend,
        pytest.raises(BackendError, match="^cramped failed: shape mismatch$") as caught,
    ):
        list(sample(backend, 0, 4, 64, shrink=said.append))
    assert not isinstance(caught.value, BackendOutOfMemory)
    assert said == []


def test_pixels_that_do_not_fit_on_the_host_count_too(tiny_export: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def as_pixels(images: np.ndarray) -> np.ndarray:
        if len(images) > 8:
            raise MemoryError("Unable to allocate 9.00 TiB")
        return np.zeros((len(images), 1), np.uint8)

    monkeypatch.setattr(sampler, "as_pixels", as_pixels)
    said: list[str] = []
    with open_backend(tiny_export / "generator.onnx", device="cpu") as backend:
        assert sum(len(images) for _, images, _ in sample(backend, 0, 40, 32, shrink=said.append)) == 40
        assert len(said) == 2
        with pytest.raises(BackendOutOfMemory, match="^onnx ran out of memory for 32 images"):
            list(sample(backend, 0, 40, 32))


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("could not create a primitive"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        Exception("... bfc_arena.cc:360 ... Failed to allocate memory for requested buffer of size 268435456"),
        Exception("CUDA failure 2: out of memory ; GPU=0"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("std::bad_alloc"),
        MemoryError(),
    ],
)
def test_every_runtimes_words_for_it_are_known(error: Exception) -> None:
    found = runtime_failure("it", error, 2)
    assert isinstance(found, BackendOutOfMemory)
    assert str(found) == "it ran out of memory for 2 images at a time: free some, or use --batch-size 1"


def test_cuda_runs_out_of_memory_under_its_own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    class Status(int):
        name = "cudaErrorMemoryAllocation"

    runtime = SimpleNamespace(cudaMalloc=lambda size: (Status(2), 0))
    monkeypatch.setitem(sys.modules, "cuda", ModuleType("cuda"))
    monkeypatch.setitem(sys.modules, "cuda.bindings", SimpleNamespace(runtime=runtime))
    with pytest.raises(BackendOutOfMemory, match="cudaMalloc failed with cudaErrorMemoryAllocation: .*--max-batch"):
        Cuda()("cudaMalloc", 2**50)


def test_a_primitive_that_onednn_does_not_have_is_no_lack_of_memory() -> None:
    error = RuntimeError("could not create a primitive descriptor for a deconvolution")
    assert not isinstance(runtime_failure("torch", error, 64), BackendOutOfMemory)


SCRIPT = """
import json, resource, sys
from pathlib import Path
import numpy as np
from wgan.serve.backends.open import open_backend
from wgan.serve.base.errors import BackendOutOfMemory
from wgan.serve.sampling.sampler import sample

path, room, count = Path(sys.argv[1]), int(sys.argv[2]), 4096
backend = open_backend(path, device="cpu")
wanted = np.concatenate([images for _, images, _ in sample(backend, 3, count, 64)])
made, said = np.zeros_like(wanted), []
list(sample(backend, 0, 1, 1))
pages = int(Path("/proc/self/statm").read_text().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + room, -1))
for first, images, _ in sample(backend, 3, count, count, shrink=said.append):
    made[first - 3 :][: len(images)] = images
try:
    list(sample(backend, 3, count, count))
    error = None
except BackendOutOfMemory as caught:
    error = str(caught)
resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
print(json.dumps({"said": said, "same": bool(np.array_equal(made, wanted)), "error": error}))
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs RLIMIT_AS to mean what it says")
@pytest.mark.parametrize("name", ["generator.onnx", "generator.ts"])
def test_a_real_runtime_that_runs_out_goes_on_with_less(tiny_export: Path, name: str) -> None:
    # the images of all at once would be 48 MiB. Beside a block of ONNX Runtime's, of a power of two, either half or
    # nothing is left: numpy itself may crash where there is next to nothing
    room = 32 * 2**20
    words = [sys.executable, "-c", SCRIPT, str(tiny_export / name), str(room)]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
    done = subprocess.run(words, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["same"] is True
    assert "ran out of memory for 4,096 images at a time: now 2,048" in found["said"][0]
    assert "ran out of memory for 4,096 images" in found["error"]


def test_the_command_line_says_it_in_one_line(
    tiny_export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = onnx_backend.OnnxBackend._infer

    def cramped(self: onnx_backend.OnnxBackend, z: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        if len(z) > 40:
            raise runtime_failure("ONNX Runtime", MemoryError(), len(z))
        return real(self, z, labels)

    monkeypatch.setattr(onnx_backend.OnnxBackend, "_infer", cramped)
    out = tmp_path / "out.npy"
    model = str(tiny_export / "generator.onnx")
    words = ["sample", "-n", "100", "--model", model, "--out", str(out), "--device", "cpu"]
    assert main(words) == 0
    halved, onward = capsys.readouterr().err.splitlines()
    assert halved == "onnx on cpu ran out of memory for 64 images at a time: now 32"
    assert onward == f"next: wgan bench --model {model}"
    with TorchBackend(tiny_export / "generator.pt", "cpu") as backend:
        wanted = np.concatenate([images for _, images, _ in sample(backend, 0, 100, 50)])
    assert np.abs(np.load(out).astype(int) - wanted).max() <= 1
    monkeypatch.chdir(tmp_path)
    measure = ["eval", "-n", "100", "--inception-weights", "none", "--data", "faces", *words[3:5], "--device", "cpu"]
    assert main(measure) == 0
    assert "onnx on cpu ran out of memory for 64 images at a time: now 32\n" in capsys.readouterr().err
    assert main([*measure, "--batch-size", "64"]) == 2
    assert "wgan: ONNX Runtime ran out of memory for 64 images" in capsys.readouterr().err
    out.unlink()
    assert main([*words, "--batch-size", "64"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("wgan: ONNX Runtime ran out of memory for 64 images at a time: ")
    assert not out.exists()
