"""bfloat16 and float16 through TorchScript and PyTorch itself: measured, said, and refused where a format has none."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.make import make_generator
from wgan.cli import main
from wgan.export import exporter, parity
from wgan.export.reference import reduced
from wgan.export.reference.generator import TrainedGenerator, save_generator
from wgan.export.reference.torch_backend import TorchBackend
from wgan.export.verify import verify_file
from wgan.serve.artifacts import artifact
from wgan.serve.artifacts.metadata import ImageSpec, Latent, Metadata, parse
from wgan.serve.backends.open import open_backend
from wgan.serve.base.errors import ArtifactError, ConfigError, ParityError
from wgan.serve.latents.table import latents
from wgan.serve.sampling.sampler import sample


@pytest.fixture(scope="module")
def checkpoint(generator: TrainedGenerator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("reduced") / "generator.pt"
    save_generator(path, generator)
    return path


NETWORKS = [
    ({}, None),
    ({"conditional": True, "generator_labels": "batchnorm", "attention": 8, "depth": 2}, ("a", "b", "c")),
    ({"conditional": True, "spectral_norm": "both"}, ("a", "b")),
]


@pytest.mark.parametrize(("changes", "classes"), NETWORKS)
@pytest.mark.parametrize("output", ["float32", "uint8"])
@pytest.mark.filterwarnings("ignore:.torch.jit.load")  # of another class in each torch
def test_a_bf16_file_is_proven(
    changes: dict[str, object], classes: tuple[str, ...] | None, output: str, tmp_path: Path
) -> None:
    generator = make_generator(classes=classes, **changes)
    arguments = {"precision": "bf16", "output": output}
    (made,) = exporter.export(generator, tmp_path, ["torchscript"], max_batch=20, **arguments)  # type: ignore[arg-type]
    assert made.path.name == ("generator.bf16.ts" if output == "float32" else "generator.bf16.uint8.ts")
    report = artifact.read(made.path).metadata.parity
    assert report is not None
    assert report["passed"] is True
    # it really was computed in 8 bits: float16 is some 8 times closer
    assert 1e-3 < report["mean_abs"] < 1.6e-2
    assert verify_file(made.path).passed is True
    module = torch.jit.load(made.path)
    assert "BFloat16" in str(module.inlined_graph)


@pytest.mark.parametrize(("precision", "dtype"), [("bf16", torch.bfloat16), ("fp16", torch.float16)])
def test_a_checkpoint_runs_at_a_reduced_precision(checkpoint: Path, precision: str, dtype: torch.dtype) -> None:
    z = latents(0, 20, 16)
    with reduced.open_reduced(checkpoint, "cpu", precision) as backend, TorchBackend(checkpoint, "cpu") as exact:
        assert {parameter.dtype for parameter in backend._module.parameters()} == {dtype}
        assert backend.metadata.proven
        images, wanted = backend.run(z), exact.run(z)
        assert images.dtype == np.float32
        error = np.abs(images - wanted)
        gates = parity.GATES[precision, "cpu"]
        assert 0 < error.max() <= gates["max_abs"]
        assert error.mean() <= gates["mean_abs"]
        assert f"generator.pt in {precision} on cpu: " in reduced.in_words(backend)
        assert backend.digest != exact.digest
        # its bits do not depend on the batch
        whole = [pixels for _, pixels, _ in sample(backend, 3, 40, 40)]
        for size in (1, 7, 33):
            parts = [pixels for _, pixels, _ in sample(backend, 3, 40, size)]
            assert np.array_equal(np.concatenate(parts), np.concatenate(whole)), size


def test_a_precision_that_is_too_far_away_is_an_error(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(parity.GATES, ("bf16", "cpu"), {"max_abs": 1e-4})
    with pytest.raises(ParityError, match=r"generator.pt in bf16 does not match float32: max_abs .*use another"):
        reduced.open_reduced(checkpoint, "cpu", "bf16")


@pytest.mark.parametrize("kinds", [["onnx"], ["trt"], ["torchscript", "onnx"]])
def test_bf16_is_refused_where_there_is_none(generator: TrainedGenerator, tmp_path: Path, kinds: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"--precision bf16 is not for (onnx|trt): ONNX.*use --format torchscript"):
        list(exporter.export(generator, tmp_path, kinds, precision="bf16"))
    assert not list(tmp_path.iterdir())


def test_onnx_metadata_that_claims_bf16_is_refused() -> None:
    def text(kind: str) -> str:
        return Metadata(kind, "bf16", Latent(4), ImageSpec(8, 8, 3), "0" * 64).to_json()

    assert parse(text("torchscript"), "a file").precision == "bf16"
    with pytest.raises(ArtifactError, match="metadata field precision is 'bf16', not one of fp32, fp16:"):
        parse(text("onnx"), "a file")


def test_the_gates_of_bf16_close(checkpoint: Path) -> None:
    good = {"finite": True, "chunks_max_abs": 0.0, "max_abs": 3e-1, "mean_abs": 9e-3, "worst_psnr_db": 35.0}
    gates = {"gates": parity.GATES["bf16", "cpu"]}
    assert parity.failures(good | gates) == []
    for change in ({"max_abs": 5e-1}, {"mean_abs": 2e-2}, {"worst_psnr_db": 29.0}):
        assert len(parity.failures(good | gates | change)) == 1
    with open_other(checkpoint) as backend:
        assert parity.measure(backend, make_generator(seed=1).module, 4)["passed"] is False


def open_other(checkpoint: Path) -> TorchBackend:
    return TorchBackend(checkpoint, "cpu", "bf16")


def test_bf16_on_the_command_line(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export = ["export", "--checkpoint", str(checkpoint), "--out", str(tmp_path), "--precision", "bf16"]
    assert main([*export, "--format", "torchscript", "--max-batch", "4"]) == 0
    assert main([*export, "--format", "onnx"]) == 2
    assert "use `wgan export " in (line := capsys.readouterr().err)
    assert line.endswith("--format torchscript`\n")
    file, out = tmp_path / "generator.bf16.ts", tmp_path / "images.npy"
    for model, words in ((file, []), (checkpoint, ["--precision", "bf16"])):
        sampled = ["sample", "-n", "4", "--model", str(model), "--out", str(out), "--json", "--device", "cpu", *words]
        assert main(sampled) == 0
        found = capsys.readouterr()
        assert json.loads(found.out)["precision"] == "bf16"
        assert ("of float32 (mean" in found.err) == (model == checkpoint)
    assert main(["sample", "-n", "4", "--model", str(file), "--out", str(out), "--precision", "bf16"]) == 2
    assert "has the precision that it was exported in" in capsys.readouterr().err
    assert main(["sample", "-n", "4", "--model", str(checkpoint), "--out", str(out), "--precision", "int4"]) == 2
    assert "--precision int4 is not one of fp32, bf16, fp16" in capsys.readouterr().err


def test_artifacts_of_both_kinds_run_beside_each_other(checkpoint: Path, generator: TrainedGenerator) -> None:
    list(exporter.export(generator, checkpoint.parent, ["torchscript"], precision="bf16", max_batch=4))
    z = latents(0, 16, 16)
    with (
        open_backend(checkpoint.parent / "generator.bf16.ts", device="cpu") as file,
        TorchBackend(checkpoint, "cpu", "bf16") as live,
    ):
        assert np.abs(file.run(z) - live.run(z)).max() <= 1e-1


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_a_reduced_precision_holds_on_cuda(checkpoint: Path, precision: str) -> None:
    with reduced.open_reduced(checkpoint, "cuda", precision) as backend:
        assert backend.metadata.proven
        assert backend.device == "cuda"
