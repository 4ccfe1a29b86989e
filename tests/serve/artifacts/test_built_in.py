"""The generator that is installed with the package: found by its name, proven, small, and run without a run."""

from pathlib import Path

import numpy as np
import pytest

import wgan
from tests import ROOT
from wgan.cli import main
from wgan.models import cautions, find_model, open_model
from wgan.serve.artifacts import artifact
from wgan.serve.artifacts.find import BUILT_IN, built_in, find_artifact
from wgan.serve.base.errors import ConfigError

LARGEST = 4 * 2**20  # bytes of it in the wheel


def test_it_is_an_artifact_like_any_other() -> None:
    assert built_in().stat().st_size <= LARGEST
    metadata = artifact.read(built_in()).metadata
    assert (metadata.format, metadata.precision, metadata.opset) == ("onnx", "fp16", 11)
    assert metadata.proven
    assert metadata.parity is not None
    assert metadata.parity["passed"] is True
    assert (metadata.image.height, metadata.image.width, metadata.image.channels) == (64, 64, 3)
    assert "blue" in (metadata.classes or ())
    assert metadata.source["config"]["data"] == "faces"


def test_it_has_the_settings_that_the_script_trains_it_with() -> None:
    config = artifact.read(built_in()).metadata.source["config"]
    from wgan.training.config import load

    script = (ROOT / "scripts" / "train_builtin.sh").read_text("utf-8")
    assert "--config faces-64" in script
    wanted = load("faces-64").to_dict()
    for name in ("base_channels", "latent_dim", "critic_head", "upsampling", "image_size"):
        assert config[name] == wanted[name]


def test_sample_without_a_run_uses_it_and_says_so(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", "-n", "4", "--out", "faces.png"]) == 0
    said = capfd.readouterr()
    assert said.err.splitlines() == [
        "no run here: this is the built-in generator, --model faces; `wgan train` trains another",
        "next: wgan bench --model faces",
    ]
    assert "4 images (seeds 0 to 3)" in said.out
    assert (here / "faces.png").is_file()


def test_by_name_it_is_used_without_a_word(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (here / "faces").mkdir()  # a folder of that name is data, not a model
    assert main(["sample", "-n", "2", "--model", "faces", "--label", "blue", "--out", "faces.npy"]) == 0
    assert capfd.readouterr().err == "next: wgan bench --model faces\n"
    with wgan.load("faces") as generator:
        assert np.array_equal(generator.sample(2, label="blue"), np.load(here / "faces.npy"))


def test_another_backend_is_not_answered_with_it(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", "-n", "2", "--backend", "torch"]) == 2
    assert "no run under runs/" in capfd.readouterr().err
    assert main(["sample", "-n", "2", "--backend", "torch", "--model", "faces"]) == 2
    assert "--backend torch cannot run" in capfd.readouterr().err


def test_what_cannot_be_verified_says_why(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--model", "faces"]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert "scripts/train_builtin.sh" in line


def test_a_run_comes_first_and_the_name_is_the_built_in_all_the_same(run: Path) -> None:
    assert find_model(None, None, None) == (Path("runs/one/export/generator.onnx"), "onnx")
    assert find_model(Path(BUILT_IN), None, None) == (built_in(), "onnx")


def test_a_name_that_is_near_says_what_there_is() -> None:
    with pytest.raises(ConfigError, match="or `faces` for the built-in generator"):
        find_artifact(Path("fases"), None, None)


def test_hair_is_of_the_colour_that_was_asked_for() -> None:
    from wgan.training.data.faces import CLASSES, classify_hair

    path, kind = find_model(Path(BUILT_IN), None, None)
    with open_model(path, kind, "cpu") as opened:
        assert cautions(opened) == []
    with wgan.load("faces") as generator:
        found = {name: classify_hair(generator.sample(48, label=name)) for name in CLASSES}
    right = {name: float((found[name] == number).mean()) for number, name in enumerate(CLASSES)}
    assert min(right.values()) > 0.75, right
    assert np.mean(list(right.values())) > 0.9, right
