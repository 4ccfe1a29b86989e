"""Private words do not travel: what is exported or put on show names no folder of the machine that made it."""

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.make import make_generator
from wgan.export import exporter
from wgan.serve import artifact
from wgan.serve.cli import main
from wgan.serve.privacy import last_name, without_paths
from wgan.training import checkpoint
from wgan.training.report import write_report
from wgan.training.run import RunFolder

WORD = "krokodil-archive"


def contents(path: Path) -> list[bytes]:
    """A file's bytes, and those of what a zip archive holds, unpacked."""
    found = [path.read_bytes()]
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            found += [name.encode() + b"\n" + archive.read(name) for name in archive.namelist()]
    return found


def test_no_artifact_names_a_folder(tmp_path: Path) -> None:
    place = f"/home/{WORD}/photos"
    generator = make_generator(
        image_size=16, base_channels=2, data=place, init_critic=f"{place}/c.pt", init_generator=f"{place}/g.pt"
    )
    list(exporter.export(generator, tmp_path, ["torchscript", "onnx", "trt"], max_batch=4))
    hidden = (WORD.encode(), str(Path(exporter.__file__).parent).encode(), str(tmp_path).encode(), b"site-packages")
    for path in tmp_path.iterdir():
        for content in contents(path):
            assert [word for word in hidden if word in content] == [], path.name
    config = artifact.read(tmp_path / "generator.onnx").metadata.source["config"]
    assert (config["data"], config["init_critic"]) == ("photos", "c.pt")


def test_the_data_may_be_given_a_name(tmp_path: Path) -> None:
    generator = make_generator(image_size=16, base_channels=2, data="/a/b", data_name="public set")
    list(exporter.export(generator, tmp_path, ["onnx"], max_batch=4))
    assert artifact.read(tmp_path / "generator.onnx").metadata.source["config"]["data"] == "public set"


@pytest.mark.parametrize(
    ("text", "name"),
    [("photos", "photos"), ("/a/photos/", "photos"), ("faces", "faces"), ("/a/faces", "faces/"), ("/", "/")],
)
def test_a_path_becomes_its_last_name(text: str, name: str) -> None:
    assert last_name(text) == name
    assert last_name(name) == name


def test_text_loses_its_paths() -> None:
    said = without_paths("/a b/runs/x/c.pt is damaged: taking runs/x/d.pt, see https://host/e/f", "/a b/runs/x")
    assert said == "x/c.pt is damaged: taking x/d.pt, see https://host/e/f"


def test_a_checkpoint_does_not_name_its_host(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "generator.pt", {"step": 1})
    with zipfile.ZipFile(tmp_path / "generator.pt") as archive:
        assert {name.split("/")[0] for name in archive.namelist()} == {"archive"}


def test_a_report_names_no_folder(tmp_path: Path) -> None:
    run = tmp_path / WORD / "runs" / "one"
    run.mkdir(parents=True)
    (run / "config.yaml").write_text(f"data: /home/{WORD} of/photos\ninit_critic: {WORD}/best.pt\n")
    lines = [f"{run}/checkpoints/a.pt is damaged", f"{WORD}/runs/one/b.pt", f"taking {WORD}/best.pt"]
    records = [{"kind": "event", "step": 1, "message": line} for line in lines]
    (run / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    page = write_report(run).read_text()
    assert WORD not in page
    assert all(left in page for left in ("photos", "one/checkpoints/a.pt is damaged", "one/b.pt", "taking best.pt"))


def test_an_evaluation_finds_the_images_by_the_run_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    photos, run = tmp_path / WORD / "photos", tmp_path / "runs" / "one"
    photos.mkdir(parents=True)
    for number in range(4):
        Image.fromarray(np.full((16, 16, 3), 60 * number, np.uint8)).save(photos / f"{number}.png")
    generator = make_generator(image_size=16, base_channels=2, data=str(photos))
    list(exporter.export(generator, run / "export", ["onnx"], max_batch=4))
    RunFolder(run).create(generator.config)
    words = ["eval", "-n", "4", "--device", "cpu", "--inception-weights", "none"]
    assert main(words) == 0
    assert "against photos" in capsys.readouterr().out
    shutil.copy(run / "export" / "generator.onnx", tmp_path)
    assert main([*words, "--model", "generator.onnx"]) == 2
    assert capsys.readouterr().err.endswith("name them with --data\n")
    assert main([*words, "--model", "generator.onnx", "--run", str(run)]) == 0
