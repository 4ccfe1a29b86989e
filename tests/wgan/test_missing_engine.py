"""`wgan train`, `wgan export --format onnx`, `wgan sample --backend trt`, one after the other: the engine is built."""

import shutil
from pathlib import Path

import pytest
import torch

import wgan
from wgan.cli import main
from wgan.serve.artifacts import artifact
from wgan.serve.backends.trt import build, fit
from wgan.serve.machine.gpu import Gpu
from wgan.serve.machine.install import install_command

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="the engine runs here")
WORDS = ["sample", "--backend", "trt", "-n", "64"]


@pytest.fixture
def export(tmp_path: Path, tiny_export: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The export folder of the newest run, with an ONNX file alone."""
    run = tmp_path / "runs" / "one"
    (run / "export").mkdir(parents=True)
    (run / "config.yaml").write_text("steps: 1\n")
    for name in ("generator.onnx", "generator.pt"):
        shutil.copy(tiny_export / name, run / "export")
    monkeypatch.chdir(tmp_path)
    return Path("runs/one/export")


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU that engines can be built for, and not run on."""
    for module in (fit, build):
        monkeypatch.setattr(module, "first_gpu", lambda: Gpu("A GPU", (8, 6), 8 << 30))
    monkeypatch.setattr(build, "read_back", lambda *_: {})


def test_the_engine_is_built_from_the_onnx_file_beside_it(
    export: Path, gpu: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(WORDS) == 2
    plan = export / "generator.plan"
    yet, built, line = capsys.readouterr().err.splitlines()
    assert yet == f"no {plan} yet: it is built from generator.onnx beside it"
    assert built == f"built {plan} for this machine"
    assert "needs an NVIDIA GPU and its driver" in line  # running it does
    engine, source = artifact.read(plan).metadata, artifact.read(export / "generator.onnx").metadata
    assert engine.source["weights_sha256"] == source.source["weights_sha256"]

    before = plan.read_bytes()
    assert main(WORDS) == 2  # it is there now
    (line,) = capsys.readouterr().err.splitlines()
    assert "needs an NVIDIA GPU and its driver" in line
    assert plan.read_bytes() == before


def test_the_api_builds_it_too(export: Path, gpu: None) -> None:
    with pytest.raises(wgan.BackendUnavailable, match="needs an NVIDIA GPU and its driver"):
        wgan.load(export.parent, backend="trt")
    assert (export / "generator.plan").is_file()


def test_without_a_gpu_it_is_one_line(export: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (WORDS, [*WORDS, "--rebuild"]):
        assert main(words) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"wgan: no {export}/generator.plan yet, and it can be built from generator.onnx")
        assert "only on a machine with an NVIDIA GPU" in line
    assert [path.name for path in sorted(export.iterdir())] == ["generator.onnx", "generator.pt"]


def test_without_tensorrt_it_is_one_line(
    export: Path, gpu: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def absent() -> None:
        raise wgan.BackendUnavailable("no TensorRT", extra="trt")

    monkeypatch.setattr(fit, "load_tensorrt", absent)
    assert main(WORDS) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f": no TensorRT: {install_command('trt')}" in line


def test_without_an_onnx_file_there_is_nothing_to_build_from(
    export: Path, gpu: None, capsys: pytest.CaptureFixture[str]
) -> None:
    (export / "generator.onnx").unlink()
    assert main(WORDS) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "run `wgan export --format trt` first" in line
    assert main([*WORDS, "--device", "cpu"]) == 2
