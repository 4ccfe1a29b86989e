"""TensorRT as far as a machine without a GPU can show it: engines are built, and what runs them exists."""

import importlib.util
import shutil
from pathlib import Path

import pytest

from wgan.export import exporter
from wgan.export.tensorrt import build_engine
from wgan.serve import artifact, tensorrt_api
from wgan.serve.backend import open_backend
from wgan.serve.errors import BackendUnavailable, ExportError
from wgan.serve.tensorrt_api import load_tensorrt
from wgan.training.deploy import TrainedGenerator

RUN_PATH = {
    "Runtime": ["deserialize_cuda_engine"],
    "ICudaEngine": ["create_execution_context"],
    "IExecutionContext": ["set_tensor_address", "set_input_shape", "execute_async_v3"],
}
CUDA = ["cudaMalloc", "cudaFree", "cudaMemcpyAsync", "cudaStreamCreate", "cudaStreamSynchronize", "cudaStreamDestroy"]


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_an_engine_of_each_precision_is_built(generator: TrainedGenerator, tmp_path: Path, precision: str) -> None:
    (made,) = exporter.export(generator, tmp_path, ["trt"], precision=precision, max_batch=32)
    assert made.path.name == exporter.file_name("trt", precision)
    found = artifact.read(made.path).metadata
    assert found.max_batch == 32
    assert found.engine is not None
    assert found.engine["profile"] == {"min": [1, 16], "opt": [32, 16], "max": [32, 16]}
    assert found.engine["version"] == load_tensorrt(found.engine["runtime"]).__version__


def test_a_file_that_is_no_onnx_is_one_line() -> None:
    with pytest.raises(ExportError, match="cannot parse the ONNX file") as caught:
        build_engine(b"nonsense", 16, 8, 8)
    assert "\n" not in str(caught.value)


def test_all_that_the_run_path_calls_exists() -> None:
    api = load_tensorrt()
    for name, methods in RUN_PATH.items():
        assert all(hasattr(getattr(api, name), method) for method in methods), name
    from cuda.bindings import runtime

    assert all(hasattr(runtime, name) for name in CUDA)
    assert {"cudaMemcpyHostToDevice", "cudaMemcpyDeviceToHost"} <= set(dir(runtime.cudaMemcpyKind))


def test_without_tensorrt_the_line_says_what_to_install(
    generator: TrainedGenerator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BackendUnavailable, match=r"pip install 'wgan\[trt\]'") as caught:
        list(exporter.export(generator, tmp_path, ["trt"]))
    assert "trt-rtx" in str(caught.value)
    with pytest.raises(BackendUnavailable, match=r"pip install 'wgan\[trt-rtx\]'"):
        load_tensorrt("tensorrt_rtx")
    with pytest.raises(BackendUnavailable, match="unknown TensorRT runtime 'os'"):
        load_tensorrt("os")  # metadata may name anything: it is never imported
    assert tensorrt_api.MODULES == {"tensorrt": "trt", "tensorrt_rtx": "trt-rtx"}


def test_an_engine_never_runs_on_the_cpu(tiny_export: Path) -> None:
    with pytest.raises(BackendUnavailable, match="runs on CUDA only"):
        open_backend(tiny_export / "generator.plan", device="cpu")


def test_an_engine_gets_its_proof_where_it_can_run(
    tiny_export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the ONNX artifact stands in for the engine's run, which needs a GPU
    for path in tiny_export.glob("generator*"):
        shutil.copy(path, tmp_path)
    plan = tmp_path / "generator.plan"
    monkeypatch.setattr(exporter, "open_backend", lambda path, device: open_backend(tmp_path / "generator.onnx"))
    assert exporter.verify(plan).passed is True
    assert artifact.read(plan).metadata.proven
