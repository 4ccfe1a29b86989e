"""The main road on real scans: handwritten digits as class folders, trained, exported, verified, sampled."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wgan.cli import main


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1,797 scans of 8×8 pixels and 17 grey levels, one folder a digit (UCI optical digits, in scikit-learn)."""
    from sklearn.datasets import load_digits

    found = load_digits()
    folder = tmp_path_factory.mktemp("digits")
    for index, (scan, digit) in enumerate(zip(found.images, found.target, strict=True)):
        path = folder / str(digit) / f"{index:04d}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray((scan * 255 / 16).round().astype(np.uint8)).save(path)
    return folder


def one_json(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.slow
def test_three_commands_from_scans_to_images(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = ["image_size=16", "channels=1", "base_channels=16", "latent_dim=32", "batch_size=32", "n_critic=2",
                "steps=150", "lr_g=1e-3", "lr_d=1e-3", "ema_decay=0.95", "validate_every=150",
                "validate_images=512", "sample_every=50"]  # fmt: skip
    assert main(["train", "--data", str(digits), "--device", "cpu", "--json", *settings]) == 0
    trained = one_json(capsys)
    run = tmp_path / str(trained["run"])
    info = json.loads((run / "run.json").read_text())
    assert (info["images"], info["classes"]) == (1797, [str(digit) for digit in range(10)])
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    first, last = (r for r in records if r["kind"] == "validation")
    assert last["swd"] < first["swd"] / 2

    assert main(["export", "--format", "all", "--json"]) == 0
    exported = one_json(capsys)["artifacts"]
    assert isinstance(exported, list)
    names = {"generator.onnx", "generator.ts", "generator.plan", "generator.safetensors"}
    assert {entry["file"] for entry in exported} == names
    assert main(["verify", "--json"]) == 0
    found = one_json(capsys)
    ran = [entry["parity"]["passed"] for entry in found["artifacts"]]  # type: ignore[attr-defined]
    assert found["passed"] is (None if None in ran else True)

    pixels = {}
    for backend in ("onnx", "torchscript", "torch"):
        assert main(["sample", "--backend", backend, "-n", "64", "--out", f"{backend}.npy", "--device", "cpu"]) == 0
        pixels[backend] = np.load(tmp_path / f"{backend}.npy").astype(np.int16)
        assert pixels[backend].shape == (64, 16, 16, 1)
    for backend in ("torchscript", "torch"):
        difference = np.abs(pixels[backend] - pixels["onnx"])
        assert difference.max() <= 1
        assert (difference > 0).mean() <= 0.001

    page = (run / "report.html").read_text()
    assert "generator.onnx" in page
    assert page.count("data:image/") >= 5  # generated, real, and the strip of steps

    # a cache that was made once is used again: no image is decoded
    for path in digits.rglob("*.png"):
        path.chmod(0)
    assert main(["train", "--resume", "--device", "cpu", "steps=151"]) == 0
    for path in digits.rglob("*.png"):
        path.chmod(0o644)


@pytest.mark.slow
def test_the_demo_makes_everything_and_is_quick_the_second_time(
    tmp_path: Path, tiny_export: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = ["image_size=32", "base_channels=4", "faces_count=64", "batch_size=8", "n_critic=1", "steps=3",
                "validate_images=32", "sample_every=2"]  # fmt: skip
    assert main(["demo", "--device", "cpu", *settings]) == 0
    shown = capsys.readouterr()
    assert "report: runs/demo/report.html" in shown.out
    run = tmp_path / "runs" / "demo"
    assert {path.name for path in (run / "export").iterdir()} == {
        "generator.pt", "generator.onnx", "generator.ts", "generator.plan", "generator.plan.json",
        "generator.safetensors",
    }  # fmt: skip
    assert len(list((run / "generated").glob("seed-*.png"))) == 64
    before = (run / "metrics.jsonl").read_bytes()

    # more training makes another generator: its images take the place of those that this run's demo made before
    manifest = run / "generated" / "wgan.json"
    digest = json.loads(manifest.read_text())["model_sha256"]
    manifest.write_text(manifest.read_text().replace(digest, "ab" * 32))
    shutil.copy(run / "generated" / "seed-000000.png", run / "generated" / "seed-000999.png")

    # an artifact of another generator in the same folder is not the demo's business
    shutil.copy(tiny_export / "generator.fp16.onnx", run / "export")
    assert main(["demo", "--device", "cpu", "--json"]) == 0
    again = one_json(capsys)
    assert again["passed"] is True
    assert (run / "metrics.jsonl").read_bytes() == before
    assert json.loads(manifest.read_text())["model_sha256"] == digest
    assert len(list((run / "generated").glob("seed-*.png"))) == 64
    assert not (run / "generated-2").exists()
    assert {row["backend"] for row in again["sampling"]} >= {"torch", "onnx", "torchscript"}  # type: ignore[attr-defined]
    assert again["untrained_swd"].keys() == again["trained_swd"].keys() == {"32", "16"}  # type: ignore[attr-defined]
