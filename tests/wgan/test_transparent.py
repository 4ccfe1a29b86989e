"""Transparent images all the way: drawn sprites, a run, artifacts, files with alpha; and the commands' lines on it."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image, ImageDraw

import wgan
from wgan.cli import main
from wgan.generator import Images
from wgan.serve.artifacts import artifact

SETTINGS = ["image_size=16", "base_channels=4", "latent_dim=8", "batch_size=8", "n_critic=1", "steps=3",
            "validate_every=3", "validate_images=16", "sample_every=3", "log_every=1"]  # fmt: skip
AUGMENTED = ["augment_enlarge=1.125", "augment_flip=0.5", "augment_brightness=0.2", "augment_contrast=0.2"]


def draw_sprites(folder: Path, count: int = 24) -> Path:
    """Discs and squares with an outline; the colour under full transparency is noise."""
    folder.mkdir()
    random = np.random.default_rng(0)
    for index in range(count):
        large = Image.new("RGBA", (80, 80))
        x, y, side = (int(v) for v in random.integers((20, 20, 10), (60, 60, 20)))
        draw = ImageDraw.Draw(large)
        shape = draw.ellipse if index % 2 else draw.rectangle
        shape((x - side, y - side, x + side, y + side), fill=(*map(int, random.integers(60, 255, 3)), 255))
        pixels = np.array(large.resize((20, 20), Image.Resampling.BOX))
        hidden = pixels[..., 3:] == 0
        pixels[..., :3] = np.where(hidden, random.integers(0, 256, (20, 20, 3)), pixels[..., :3])
        Image.fromarray(pixels).save(folder / f"{index:02d}.png")
    return folder


def said(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, object]:
    assert main([*words, "--json"]) == 0
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.slow
def test_from_sprites_to_files_with_alpha(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw_sprites(here / "sprites")
    trained = said(capsys, "train", "--data", "sprites", "--device", "cpu", "channels=4", *SETTINGS, *AUGMENTED)
    run = here / str(trained["run"])
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert {r["swd_alpha"] for r in records if r["kind"] == "validation"} == {"premultiplied"}
    for name in ("real.png", "step-00000003.png"):
        with Image.open(run / "samples" / name) as page:
            assert page.mode == "RGB"
    assert "premultiplied by their alpha" in (run / "report.html").read_text()

    for output in ("float32", "uint8"):
        assert main(["export", "--format", "onnx", "--pixels", output]) == 0
    assert main(["verify"]) == 0
    for name in ("generator.onnx", "generator.uint8.onnx"):
        image = artifact.read(run / "export" / name).metadata.image
        assert (image.channels, image.alpha) == (4, "straight")
    session = onnxruntime.InferenceSession(run / "export" / "generator.uint8.onnx", providers=["CPUExecutionProvider"])
    assert session.get_outputs()[0].shape[1:] == [16, 16, 4]
    assert json.loads(session.get_modelmeta().custom_metadata_map["wgan"])["image"]["alpha"] == "straight"

    capsys.readouterr()
    for model in ("generator.onnx", "generator.uint8.onnx"):
        words = ("sample", "-n", "5", "--model", str(run / "export" / model))
        said(capsys, *words, "--out", "images.npy")
        folder = model.removesuffix(".onnx").replace(".", "-")
        said(capsys, *words, "--out", folder)
        images = np.load("images.npy")
        assert images.shape == (5, 16, 16, 4)
        assert len(np.unique(images[..., 3])) > 1
        for seed, wanted in enumerate(images):
            with Image.open(here / folder / f"seed-{seed:06d}.png") as image_file:
                assert image_file.mode == "RGBA"
                np.testing.assert_array_equal(np.asarray(image_file), wanted)

    words = ("eval", "-n", "8", "--inception-weights", "none", "--device", "cpu")
    found = said(capsys, *words)
    assert found["swd_alpha"] == "premultiplied"
    assert "features_alpha" not in found
    assert main([*words]) == 0
    assert "transparent images: SWD of premultiplied pixels\n" in capsys.readouterr().out
    with wgan.load(run) as generator:
        shown = generator.sample(2)._repr_png_()
    assert (shown or b"").startswith(b"\x89PNG")


def test_a_notebook_shows_transparent_images_on_a_checkerboard(tmp_path: Path) -> None:
    clear = np.zeros((3, 16, 16, 4), np.uint8).view(Images)
    for images in (clear, clear[0]):
        (tmp_path / "shown.png").write_bytes(images._repr_png_() or b"")
        with Image.open(tmp_path / "shown.png") as picture:
            assert picture.mode == "RGB"
            assert len(np.unique(np.asarray(picture))) == 2


@pytest.mark.slow
def test_inception_and_its_record_say_what_became_of_alpha(
    here: Path, inception_weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw_sprites(here / "sprites")
    options = ["--inception-weights", str(inception_weights), "--device", "cpu"]
    measured = ["inception_every=3", "inception_images=16"]
    trained = said(capsys, "train", "--data", "sprites", "channels=4", *SETTINGS, *measured, *options)
    run = here / str(trained["run"])
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [r["features_alpha"] for r in records if r["kind"] == "inception"] == ["on white"]
    assert "laid on white" in (run / "report.html").read_text()
    assert main(["export", "--format", "torchscript"]) == 0
    capsys.readouterr()
    words = ["eval", "-n", "8", *options, "--backend", "torchscript"]
    assert said(capsys, *words)["features_alpha"] == "on white"
    assert main(words) == 0
    assert "transparent images: SWD of premultiplied pixels, Inception sees them on white\n" in capsys.readouterr().out


@pytest.mark.slow
def test_an_evaluation_lays_images_on_the_background_of_the_training(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw_sprites(here / "sprites")
    words = ("train", "--data", "sprites", "--device", "cpu", "background=#00ff00", *SETTINGS)
    run = here / str(said(capsys, *words)["run"])
    assert main(["export", "--format", "torchscript"]) == 0
    capsys.readouterr()
    before = set((run.parent / ".cache").glob("*.npy"))
    assert len(before) == 1
    ground = np.load(before.pop())[0, 0, 0]
    assert ground.tolist() == [0, 255, 0]
    (here / "others").mkdir()
    Image.new("RGBA", (16, 16), (9, 9, 9, 0)).save(here / "others" / "0.png")
    for data in ((), ("--data", "others")):
        words = ("eval", "-n", "2", "--inception-weights", "none", "--device", "cpu", "--backend", "torchscript", *data)
        assert "swd_alpha" not in said(capsys, *words)
    decoded = [np.load(path)[0, 0, 0].tolist() for path in (run.parent / ".cache").glob("*.npy")]
    assert decoded == [[0, 255, 0]] * 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("train channels=4", "the built-in faces have no transparency to keep: use channels=3, or images of your own"),
        ("train --dry-run channels=4", "the built-in faces have no transparency to keep: use channels=3"),
        ("train channels=4 background=black", "background=black is never used with channels=4"),
        ("train background=paper", "background='paper' is no colour: give a name such as white"),
    ],
)
def test_what_cannot_be_is_one_line(here: Path, words: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words.split(), "--device", "cpu", *SETTINGS]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith(f"wgan: {says}")
    assert not list(here.glob("runs/*/config.yaml"))
