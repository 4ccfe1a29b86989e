"""Engines are proven where they are made, whatever they may run on, and built anew where they cannot or may not run."""

import io
import json
import os
import shutil
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from tests.fake_cuda import FakeRuntime
from tests.fake_tensorrt import FakeTensorrt, TensorIOMode
from wgan.cli import main
from wgan.export import exporter
from wgan.export.reference.generator import TrainedGenerator
from wgan.export.verify import verify_file
from wgan.serve.artifacts import artifact
from wgan.serve.backends.trt import backend as trt_backend
from wgan.serve.backends.trt import fit as tensorrt_fit
from wgan.serve.backends.trt.build import BuildOptions, Built
from wgan.serve.backends.trt.fit import rebuild_if_needed
from wgan.serve.base.errors import ArtifactError, ParityError
from wgan.serve.machine.gpu import Gpu

GPU, DIM, MOST = Gpu("Some GPU", (8, 6), 2**33), 16, 8
TENSORS = {
    "z": (TensorIOMode.INPUT, np.float32, (DIM,)),
    "image": (TensorIOMode.OUTPUT, np.float32, (3, 32, 32)),
}
ENGINE = {"runtime": "tensorrt", "version": "10.9.0.34", "compute_capabilities": ["8.6"]}


@pytest.fixture(autouse=True)
def gpu(generator: TrainedGenerator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that seems to have a GPU and TensorRT, whose engines compute what torch does."""

    def compute(z: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            found: np.ndarray = generator.module(torch.from_numpy(z.copy())).numpy()
        return found

    runtime = FakeRuntime("late")
    api = FakeTensorrt(runtime, compute, TENSORS, MOST)

    def build(onnx_file: bytes, precision: str, optimum: int, max_batch: int, options: BuildOptions) -> Built:
        api._most = max_batch
        return Built(b"an engine built anew", dict(ENGINE))

    monkeypatch.setitem(sys.modules, "cuda", ModuleType("cuda"))
    monkeypatch.setitem(sys.modules, "cuda.bindings", SimpleNamespace(runtime=runtime))
    monkeypatch.setattr(tensorrt_fit, "load_tensorrt", lambda name=None: api)
    for module in (tensorrt_fit, trt_backend):
        monkeypatch.setattr(module, "first_gpu", lambda: GPU)
    monkeypatch.setattr(tensorrt_fit, "build_engine", build)
    monkeypatch.delenv(tensorrt_fit.TRUST, raising=False)


def export(
    generator: TrainedGenerator, folder: Path, monkeypatch: pytest.MonkeyPatch, **engine: Any
) -> artifact.Artifact:
    """An engine of these properties, exported here."""
    monkeypatch.setattr("wgan.export.recipe.build_engine", lambda *_: Built(b"an engine", ENGINE | engine))
    (made,) = exporter.export(generator, folder, ["trt"], max_batch=MOST)
    return artifact.read(made.path)


def test_a_version_compatible_engine_is_proven_by_the_process_that_built_it(
    generator: TrainedGenerator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = export(generator, tmp_path, monkeypatch, version_compatible=True)
    assert made.metadata.proven
    assert (made.metadata.parity or {})["device"] == "cuda"
    # and by no other: there it is a file that may come from anywhere
    found = verify_file(made.path, required=False)
    assert found.passed is None


def test_an_engine_that_cannot_be_measured_says_why_under_its_own_name(
    generator: TrainedGenerator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = export(generator, tmp_path, monkeypatch, compute_capabilities=["12.0"])
    reason = (made.metadata.parity or {})["reason"]
    assert reason.startswith("generator.plan was built by tensorrt 10.9.0.34 for compute capability 12.0, here is")
    assert "unproven" not in reason
    assert str(tmp_path) not in reason.partition(";")[0]


def test_nothing_is_written_before_it_is_proven(
    generator: TrainedGenerator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> Any:
        assert sorted(path.name for path in tmp_path.iterdir()) == [exporter.REFERENCE]
        raise ParityError("no")

    monkeypatch.setattr(exporter.parity, "measure", fails)
    with pytest.raises(ParityError):
        export(generator, tmp_path, monkeypatch)
    assert sorted(path.name for path in tmp_path.iterdir()) == [exporter.REFERENCE]


@pytest.fixture
def beside(tiny_export: Path, generator: TrainedGenerator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An engine that fits this machine, with its ONNX file beside it."""
    shutil.copy(tiny_export / "generator.onnx", tmp_path)
    return export(generator, tmp_path, monkeypatch).path


def test_an_engine_that_may_not_run_is_built_anew(
    beside: Path, generator: TrainedGenerator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said: list[str] = []
    assert rebuild_if_needed(beside, said.append) is False
    export(generator, beside.parent, monkeypatch, version_compatible=True)
    out = str(beside.parent / "o.npy")
    assert main(["sample", "--model", str(beside), "-n", "1", "--out", out]) == 2
    line = capsys.readouterr().err
    assert "set WGAN_TRUST_ENGINES=1; otherwise `wgan sample --model" in line
    monkeypatch.setenv(tensorrt_fit.TRUST, "1")
    assert rebuild_if_needed(beside, said.append) is False
    monkeypatch.delenv(tensorrt_fit.TRUST)
    assert main(["sample", "--model", str(beside), "-n", "1", "--rebuild", "--out", out]) == 0
    assert f"built {beside} for this machine" in capsys.readouterr().err
    assert artifact.read(beside).data == b"an engine built anew"
    assert said == []


def spoil(plan: Path) -> None:
    plan.write_bytes(plan.read_bytes()[:3])


def lose_sidecar(plan: Path) -> None:
    artifact.sidecar(plan).unlink()


def spoil_sidecar(plan: Path) -> None:
    artifact.sidecar(plan).write_text("{")


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (spoil, "is damaged: its bytes are not those"),
        (lose_sidecar, "carries no wgan metadata"),
        (spoil_sidecar, "the wgan metadata is not JSON"),
    ],
)
def test_an_engine_that_cannot_be_read_is_built_anew_and_that_is_said(beside: Path, damage: Any, says: str) -> None:
    damage(beside)
    said: list[str] = []
    assert rebuild_if_needed(beside, said.append) is True
    (line,) = said
    assert says in line
    assert line.endswith("; it is built as if it were not there")
    found = artifact.read(beside)
    assert found.data == b"an engine built anew"
    assert found.metadata.max_batch == tensorrt_fit.MAX_BATCH


def test_an_engine_that_cannot_be_read_stays_where_nothing_makes_up_for_it(beside: Path) -> None:
    lose_sidecar(beside)
    beside.with_suffix(".onnx").unlink()
    with pytest.raises(ArtifactError, match="carries no wgan metadata"):
        rebuild_if_needed(beside, print)
    assert beside.read_bytes() == b"an engine"


Rows = dict[str, dict[str, Any]]


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Rows]:
    """Runs a stage of `scripts/gpu`, tiny, on a machine whose builder takes every option; its rows by name."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "scripts"))
    from gpu import engines, trt
    from gpu.rows import Here, Request

    api = tensorrt_fit.load_tensorrt()
    monkeypatch.setattr(engines, "load_tensorrt", lambda: api)
    monkeypatch.setattr(trt, "load_tensorrt", lambda name: api)
    monkeypatch.setattr(trt, "first_gpu", lambda: GPU)
    monkeypatch.setattr(trt, "unlisted", lambda *_: None)
    for name in trt.MODULES:
        module = ModuleType(name)
        module.__spec__ = ModuleSpec(name, None)
        monkeypatch.setitem(sys.modules, name, module)

    def build(onnx_file: bytes, precision: str, optimum: int, max_batch: int, options: BuildOptions | None) -> Built:
        options = options or BuildOptions()
        rebuilt = tensorrt_fit.build_engine(onnx_file, precision, optimum, max_batch, options)
        described = {"types_from": "engine", "version_compatible": options.version_compatible}
        return Built(b"x" * 200, {**rebuilt.description, **described})

    monkeypatch.setattr("wgan.export.recipe.build_engine", build)

    def run(name: str) -> Rows:
        said = io.StringIO()
        {"engines": engines, "trt": trt}[name].run(Here(Request(name, "cuda", True, "", 100.0), said))
        return {row["row"]: row for row in map(json.loads, said.getvalue().splitlines())}

    return run


@pytest.mark.slow
def test_the_gpu_check_of_engines_runs_through(stage: Callable[[str], Rows]) -> None:
    found = stage("engines")
    assert list(found) == [
        "version-compatible",
        "version-compatible, nobody trusts it",
        "version-compatible, read back from its file",
        "hardware-compatible",
        "rebuilt: an engine of another version",
        "rebuilt: an engine that may not run",
        "rebuilt: an engine without its metadata",
        "rebuilt: an engine cut short",
        "rebuilt: an engine that is not there",
        "an engine that fits stays",
    ]
    assert {row["status"] for row in found.values()} == {"ok"}
    assert max(row.get("max_abs", 0) for row in found.values()) <= 1e-3
    assert tensorrt_fit.TRUST not in os.environ


@pytest.mark.slow
def test_the_gpu_check_of_engines_can_fail(stage: Callable[[str], Rows], monkeypatch: pytest.MonkeyPatch) -> None:
    # an engine that opens without trust, and one that --rebuild does not build
    with monkeypatch.context() as patched:
        patched.setattr(trt_backend, "check_fits", lambda *_, **__: None)
        opened = stage("engines")["version-compatible, nobody trusts it"]
    assert (opened["status"], opened["why"]) == ("FAILED", "it was loaded all the same")
    monkeypatch.setattr(tensorrt_fit, "rebuild_if_needed", lambda *_: False)
    kept = stage("engines")["rebuilt: an engine of another version"]
    assert (kept["status"], kept["why"]) == ("FAILED", "wgan sample --rebuild ended with 2")


def test_the_gpu_check_of_tensorrt_holds_its_runs_against_each_other(
    stage: Callable[[str], Rows], monkeypatch: pytest.MonkeyPatch
) -> None:
    both = [sys.modules["tensorrt"], sys.modules["tensorrt_rtx"]]
    found = stage("trt")
    assert {name: row["status"] for name, row in found.items()} == {"tensorrt fp16": "ok", "tensorrt_rtx fp16": "ok"}
    assert found["tensorrt fp16"]["runs_differ_by"] <= 1e-5
    assert [sys.modules["tensorrt"], sys.modules["tensorrt_rtx"]] == both
    runs = list[None]()

    class Drifting(trt_backend.TrtBackend):
        def run(self, z: np.ndarray, labels: np.ndarray | None = None) -> np.ndarray:
            runs.append(None)
            return super().run(z, labels) + (1e-3 if len(runs) % 2 else 0)

    monkeypatch.setattr("gpu.trt.TrtBackend", Drifting)
    found = stage("trt")
    assert {row["status"] for row in found.values()} == {"FAILED"}
    assert found["tensorrt fp16"]["runs_differ_by"] == pytest.approx(1e-3, rel=0.1)
