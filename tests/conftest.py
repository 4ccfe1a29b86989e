"""A small generator's exported artifacts, made once; and no GPU test where there is no GPU."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.make import make_generator, make_run, save_inception_weights
from wgan.commands import bench as commands_bench
from wgan.export import exporter
from wgan.export.reference.generator import TrainedGenerator
from wgan.serve.bench import peak as bench_peak
from wgan.serve.bench import side_by_side as bench

pytest_plugins = ["tests.fakes.object_store"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first: what begins last is then short, and leaves no core without work for long."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)  # stable: within a file, and among files, the order stays
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="needs an NVIDIA GPU with CUDA"))


@pytest.fixture(scope="session")
def generator() -> TrainedGenerator:
    return make_generator()


@pytest.fixture(scope="session")
def tiny_export(generator: TrainedGenerator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export folder: every format that builds here, and fp16 ONNX. Not to be written into."""
    folder = tmp_path_factory.mktemp("tiny") / "export"
    list(exporter.export(generator, folder, ["torchscript", "onnx", "trt", "safetensors"], max_batch=96))
    list(exporter.export(generator, folder, ["onnx"], precision="fp16", max_batch=96))
    return folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, empty."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(here: Path, tiny_export: Path) -> Path:
    """The newest run of the working folder, with its export folder."""
    return make_run(here / "runs" / "one", tiny_export)


@pytest.fixture
def bench_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """`wgan bench` without a process for each case and peak, where the rows are not what is asked about."""

    def measured(module: str, words: list[str]) -> dict[str, Any]:
        return json.loads(json.dumps(commands_bench.case(*words, repr(time.time()))))  # type: ignore[no-any-return]

    monkeypatch.setattr(bench, "run_apart", measured)
    monkeypatch.setattr(bench_peak, "run_apart", lambda _, words: {"peak": bench_peak.measure_peak(*words[1:])})


@pytest.fixture(scope="session")
def inception_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights in a file that torch-fidelity's Inception loads. Never the official ones."""
    path = tmp_path_factory.mktemp("inception") / "weights.pth"
    save_inception_weights(path)
    return path
