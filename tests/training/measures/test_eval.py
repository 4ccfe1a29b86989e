"""`wgan eval`: the same measures for any artifact on any backend."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch_fidelity import feature_extractor_inceptionv3 as library

from tests.make import make_generator, make_run
from wgan.cli import main
from wgan.export import exporter
from wgan.serve.artifacts import artifact
from wgan.serve.latents.table import latents
from wgan.training.data import held_out
from wgan.training.measures.validation import generate, level_distances

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def run(tiny_export: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with an export folder, as the newest run of its folder."""
    return make_run(tmp_path_factory.mktemp("eval") / "runs" / "one", tiny_export)


@pytest.fixture
def here(run: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(run.parent.parent)
    return run.parent.parent


def evaluated(capsys: pytest.CaptureFixture[str], *words: str) -> dict:
    assert main(["eval", "--device", "cpu", "--json", *words]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.slow
def test_an_artifact_is_measured_with_the_weights_of_a_file(
    here: Path, inception_weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = evaluated(capsys, "-n", "10", "--seed", "3", "--inception-weights", str(inception_weights))
    assert (found["model"], found["backend"], found["device"]) == ("runs/one/export/generator.onnx", "onnx", "cpu")
    assert (found["images"], found["real_images"], found["first_seed"]) == (10, 10, 3)
    assert found["data"] == "faces, held out"
    assert found["inception_weights"] == hashlib.sha256(inception_weights.read_bytes()).hexdigest()
    assert found["frechet_distance"] > 0
    assert 1 <= found["classifier_score"] <= 10
    assert not {"fid", "kid", "inception_score"} & set(found)  # these weights make no such figures
    assert found["note"].startswith("no FID: the Inception weights (")
    assert len(list((here / "runs" / ".cache").glob("inception-*.npz"))) == 1

    # the same seeds in another precision are as far from the same real images; this time as a table
    fp16 = ["eval", "--model", "runs/one/export/generator.fp16.onnx", "-n", "10", "--seed", "3", "--device", "cpu"]
    assert main([*fp16, "--inception-weights", str(inception_weights)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("runs/one/export/generator.fp16.onnx (fp16) with onnx on cpu, seeds 3 to 12, against")
    assert [line.split("  ")[0] for line in lines[2:6]] == [
        "Fréchet distance", "kernel distance × 10³", "classifier score", "SWD × 10³",
    ]  # fmt: skip
    assert float(lines[2].split()[2]) == pytest.approx(found["frechet_distance"], rel=0.02)
    assert lines[2].endswith("10 generated, 10 real images")
    assert float(lines[3].split()[-1]) == pytest.approx(1e3 * found["kernel_distance"], rel=0.05)
    assert " ± " in lines[4]
    assert lines[6:] == [f"Inception weights: {found['inception_weights']}", found["note"]]
    assert len(list((here / "runs" / ".cache").glob("inception-*.npz"))) == 1


@pytest.mark.parametrize("backend", ["onnx", "torchscript", "torch"])
def test_the_distance_is_the_runs_own_on_every_backend(
    here: Path, backend: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = evaluated(capsys, "--backend", backend, "-n", "40", "--batch-size", "7", "--inception-weights", "none")
    reference = held_out("faces", count=40, image_size=32, channels=3, cache_dir=here / "runs" / ".cache")
    assert reference is not None
    images = generate(make_generator().module, latents(0, 40, 16), None, 32)
    wanted = level_distances(reference.images, images, CPU)
    # a pixel that is one level off changes which patches of its image are taken
    assert found["swd_levels"] == pytest.approx(wanted, rel=1e-6 if backend == "torch" else 0.05)
    assert found["swd"] == pytest.approx(np.mean(list(found["swd_levels"].values())))
    assert found["swd_images"] == 40
    assert found["backend"] == backend


def test_generated_images_are_nearest_to_themselves(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", "-n", "24", "--seed", "5", "--out", "own.npy", "--json"]) == 0
    (here / "own").mkdir()
    for number, image in enumerate(np.load("own.npy")):  # of which nothing tells that they are generated
        Image.fromarray(image).save(here / "own" / f"{number}.png")
    capsys.readouterr()
    words = ["-n", "24", "--data", "own", "--inception-weights", "none"]
    same, other = (evaluated(capsys, *words, "--seed", seed) for seed in ("5", "500"))
    assert same["swd"] == 0
    assert other["swd"] > 1
    assert same["data"] == "own"


def test_generated_images_are_not_taken_for_real_ones(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", "-n", "4", "--out", "photos/samples"]) == 0
    words = ["eval", "-n", "4", "--device", "cpu", "--inception-weights", "none", "--data"]
    capsys.readouterr()
    assert main([*words, "photos/samples"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "photos/samples holds images that `wgan sample` made of generator.onnx of the run one" in line
    for number in range(3):
        Image.new("RGB", (32, 32), (number, 0, 0)).save(here / "photos" / f"{number}.png")
    assert main([*words, "photos", "--json"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["swd_images"] == 3
    said = "skipped what wgan made, as it is no data: 1 folder (samples) and 1 image (such as samples-grid.png)"
    assert shown.err.splitlines().count(said) == 1


def test_without_weights_there_is_swd_and_one_line_that_says_why(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(library, "URL_INCEPTION_V3", "http://127.0.0.1:1/weights.pth")
    assert main(["eval", "-n", "20", "--device", "cpu"]) == 0
    head, _, swd, note = capsys.readouterr().out.splitlines()
    assert head == "runs/one/export/generator.onnx (fp32) with onnx on cpu, seeds 0 to 19, against faces, held out"
    assert swd.startswith("SWD × 10³")
    assert "32 px" in swd
    assert "20 images a side" in swd
    assert note.startswith("no FID: the Inception weights cannot be downloaded from http://127.0.0.1:1/weights.pth: ")
    assert note.endswith("or give a file with --inception-weights")


@pytest.mark.slow
def test_no_more_images_are_made_than_are_compared(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for n, made in (("30", 30), ("2000", 1024)):
        found = evaluated(capsys, "-n", n, "--inception-weights", "none")
        assert (found["images"], found["swd_images"]) == (made, made)


def test_grey_generators_are_compared_with_grey_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    list(exporter.export(make_generator(channels=1, image_size=16), tmp_path / "e", ["torchscript"], max_batch=8))
    (tmp_path / "photos").mkdir()
    for i, pixels in enumerate(np.random.default_rng(0).integers(0, 256, (6, 20, 16, 3), np.uint8)):
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{i}.png")
    words = ("--model", "e/generator.ts", "--data", "photos", "-n", "9", "--batch-size", "8")
    found = evaluated(capsys, *words, "--inception-weights", "none")
    assert list(found["swd_levels"]) == ["16"]
    assert (found["images"], found["swd_images"], found["data"]) == (9, 6, "photos")


def test_an_artifact_that_does_not_say_its_data_needs_to_be_told(
    here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import onnx

    opened = artifact.read(here / "runs" / "one" / "export" / "generator.onnx")
    model = onnx.load(opened.path)
    del model.metadata_props[:]
    artifact.write(tmp_path / "g.onnx", model.SerializeToString(), opened.metadata.replace(source={}))
    words = ["eval", "-n", "4", "--device", "cpu", "--inception-weights", "none", "--model", str(tmp_path / "g.onnx")]
    assert main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("g.onnx does not say what it was trained on: name the real images with --data")
    assert main([*words, "--data", "faces"]) == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["-n", "1"], "-n 1 is not at least 2"),
        (["--seed", "-1"], "--seed -1 is outside its range"),
        (["--batch-size", "0"], "--batch-size 0 is not at least 1"),
        (["--backend", "tflite"], "not one of onnx, torchscript, trt, torch"),
        (["--model", "no.onnx"], "no file no.onnx"),
        (["--data", "no/such/folder", "--inception-weights", "none"], "no folder, .zip or .tar file 'no/such/folder'"),
        (
            ["--data", "~no-such-user/a", "--inception-weights", "none"],
            "data ~no-such-user/a: there is no user 'no-such-user' here",
        ),
        (
            ["--inception-weights", "~no-such-user/a"],
            "Inception weights ~no-such-user/a: there is no user 'no-such-user' here",
        ),
        (["--inception-weights", "no.pth"], "no file of Inception weights 'no.pth': get https://"),
        (["--inception-weights", "runs/one/config.yaml"], "is damaged or no file of PyTorch weights"),
        (["--device", "tpu"], "not one of auto, cpu, cuda"),
        (["--run", "nowhere"], "no run nowhere"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    here: Path, words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["eval", *words]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    (line,) = shown.err.splitlines()
    assert says in line


def test_latents_of_an_evaluation_are_the_seeds(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Image s of an evaluation is image s of `wgan sample`: the very last seed is one too."""
    assert latents(2**63 - 2, 2, 16).shape == (2, 16)
    found = evaluated(capsys, "-n", "2", "--seed", str(2**63 - 2), "--inception-weights", "none")
    assert found["first_seed"] == 2**63 - 2
