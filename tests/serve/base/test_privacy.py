"""Private words do not travel: what is exported or put on show names no folder of the machine that made it."""

import gzip
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.make import make_generator
from wgan.cli import main
from wgan.export import exporter, parity
from wgan.export.formats import torchscript
from wgan.export.reference import generator as deploy
from wgan.export.reference.generator import load_generator
from wgan.export.verify import verify_file
from wgan.serve.artifacts import artifact
from wgan.serve.artifacts.formats import format_by_ending
from wgan.serve.backends.open import open_backend
from wgan.serve.base.privacy import last_name, without_paths
from wgan.training.config import from_dict
from wgan.training.records import checkpoint
from wgan.training.records.folder import RunFolder, name_for
from wgan.training.report import write_report

WORD = "krokodil-archive"
PHOTOS = "marmalade"  # the folder of images
TINY = ["image_size=16", "base_channels=2", "latent_dim=4", "batch_size=4", "n_critic=1", "validate_images=16",
        "checkpoint_every=1"]  # fmt: skip
PICTURE = "tuatara"  # each image
# of a run, what goes on needs: not for passing on
KEPT_PRIVATE = {"config.yaml"}
NAMES_OF_IMAGES = {"data.json.gz"}


def contents(path: Path) -> list[bytes]:
    """A file's bytes, and those of what a zip archive holds, unpacked."""
    found = [path.read_bytes()]
    if path.suffix == ".gz":
        found.append(gzip.decompress(found[0]))
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            found += [name.encode() + b"\n" + archive.read(name) for name in archive.namelist()]
    return found


def naming(folder: Path, *words: str) -> set[str]:
    """The files in a folder in which, or in whose names, one of the words is."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {
        name
        for name, path in files.items()
        if any(word.encode() in content for word in words for content in [name.encode(), *contents(path)])
    }


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run below a long private path: images with a name of their own, gone on with past a damaged checkpoint."""
    place = tmp_path_factory.mktemp("place") / WORD / "of tamsin"
    photos, run = place / PHOTOS, place / "runs" / "one"
    photos.mkdir(parents=True)
    for number in range(24):
        Image.fromarray(np.full((16, 16, 3), 10 * number, np.uint8)).save(photos / f"{PICTURE}-{number}.png")
    (photos / f"{PICTURE}-broken.png").touch()
    words = ["train", "--run", str(run), "--device", "cpu"]
    assert main([*words, "--data", str(photos), "data_name=public set", *TINY, "steps=2"]) == 0
    newest = run / "checkpoints" / "step-00000002.pt"
    newest.write_bytes(newest.read_bytes()[:-100])
    assert main([*words, "--resume"]) == 0
    newest.with_name(f"{newest.name}.damaged").unlink()
    Image.new("RGB", (16, 16)).save(photos / f"{PICTURE}-new.png")
    assert main([*words, "--resume", "steps=3"]) == 2
    assert main([*words, "--resume", "steps=3", "data_changed=accept"]) == 0
    for kind in ("all", "triton"):
        assert main(["export", "--format", kind, "--run", str(run), "--device", "cpu", "--max-batch", "4"]) == 0
    return run


def test_of_a_run_nothing_but_its_settings_names_a_folder(private: Path) -> None:
    hidden = (WORD, "tamsin", PHOTOS, str(private.parents[2]))
    assert naming(private, *hidden) == KEPT_PRIVATE
    assert naming(private, PICTURE) == NAMES_OF_IMAGES
    # each kind of file was looked at, and the records do hold the line that said a path
    files = {path.relative_to(private).as_posix() for path in private.rglob("*") if path.is_file()}
    exported = {"generator.onnx", "generator.ts", "generator.plan", "generator.plan.json", "generator.pt"}
    exported.add("generator.safetensors")
    exported |= {f"triton/generator/{name}" for name in ("config.pbtxt", "1/model.onnx")}
    exported |= {"client.py", "triton/generator_seeds/config.pbtxt", "triton/generator_seeds/1/model.py"}
    assert {f"export/{name}" for name in exported} <= files
    assert {"report.html", "run.json", "checkpoints/best.pt", "samples/real.png"} <= files
    (events,) = naming(private / "tensorboard", "is damaged: set aside")
    assert events.startswith("events.out.tfevents.")
    assert naming(private, "one/checkpoints/step-00000002.pt is damaged: ") >= {"metrics.jsonl", "report.html"}


def test_a_report_is_headed_by_the_name_that_the_data_was_given(private: Path, tmp_path: Path) -> None:
    assert "<h1>public set</h1>" in (private / "report.html").read_text()
    assert json.loads((private / "run.json").read_text())["data"] == "public set"
    run = Path(shutil.copytree(private, tmp_path / "run", ignore=shutil.ignore_patterns("checkpoints")))
    (run / "run.json").write_text(json.dumps({"data": PHOTOS}))  # as written before the name was given
    page = write_report(run).read_text()
    assert "<h1>public set</h1>" in page
    assert PHOTOS not in page


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"data": f"/a/{PHOTOS}.zip"}, PHOTOS),
        ({"data": f"/a/{PHOTOS}.zip", "data_name": "public set"}, "public-set"),
        ({"data_name": "猫: 写真"}, "猫-写真"),
        ({"data_name": "??"}, "run"),
        ({"data_name": "x" * 100}, "x" * 40),
    ],
)
def test_a_run_is_called_after_the_name_of_its_data(settings: dict[str, str], name: str) -> None:
    assert name_for(from_dict(settings)) == name


def test_an_evaluation_calls_the_data_by_its_name(private: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["eval", "--run", str(private), "-n", "4", "--device", "cpu", "--inception-weights", "none"]
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["data"] == "public set"


def test_an_export_can_name_the_data_anew(private: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["export", "--format", "onnx", "--run", str(private), "--device", "cpu", "--max-batch", "4"]
    assert main([*words, "--out", str(tmp_path), "--data-name", "set of 2026"]) == 0
    assert naming(tmp_path, "set of 2026") == {"generator.onnx", "generator.pt"}
    assert naming(tmp_path, "public set") == set()
    made = artifact.read(tmp_path / "generator.onnx").metadata
    assert made.source["weights_sha256"] == load_generator(private / "checkpoints" / "best.pt").weights_sha256
    capsys.readouterr()
    assert main([*words, "--out", str(tmp_path / "new"), "--data-name", "a/b"]) == 2
    assert capsys.readouterr().err.startswith("wgan: data_name='a/b' is a path: ")
    assert not (tmp_path / "new" / "generator.onnx").exists()


def test_a_run_that_goes_on_can_name_the_data_anew(
    private: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path(shutil.copytree(private, tmp_path / "run"))
    words = ["train", "--run", str(run), "--device", "cpu", "--resume", "data_name=other"]
    assert main(words) == 2
    assert "has done its 3 steps: to train longer: `wgan train --resume --run " in capsys.readouterr().err
    assert main([*words, "steps=4"]) == 0
    assert load_generator(run / "checkpoints" / "step-00000004.pt").config.data == "other"
    assert "<h1>other</h1>" in (run / "report.html").read_text()


def export_as_before(folder: Path, monkeypatch: pytest.MonkeyPatch, *kinds: str, traced: bool = False) -> None:
    """Artifacts as a wgan made them that kept the path of the data, or the folders where it traced."""
    generator = make_generator(image_size=16, base_channels=2, data="photos" if traced else f"/home/{WORD}/photos")
    with monkeypatch.context() as patch:
        if traced:
            patch.setattr(torchscript, "_without_debug_records", lambda data: data)
        else:
            patch.setattr(deploy, "public_settings", dict)
        list(exporter.export(generator, folder, kinds, max_batch=4, device="cpu"))


@pytest.mark.parametrize("traced", [False, True])
def test_what_an_earlier_wgan_exported_is_named_in_a_line_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], traced: bool
) -> None:
    export_as_before(tmp_path, monkeypatch, "torchscript", "onnx", "trt", traced=traced)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert main(["verify", "--model", str(tmp_path), "--device", "cpu"]) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if "folders" in line]
    assert said == [
        f"{tmp_path / name} names folders of the machine that made it: before you pass it on run "
        f"`wgan export --format {format_by_ending(Path(name)).name} --out {tmp_path}`"
        for name in (["generator.ts"] if traced else ["generator.onnx", "generator.plan", "generator.ts"])
    ]
    assert {path: path.read_bytes() for path in before} == before


def test_a_report_that_verify_writes_comes_without_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export_as_before(tmp_path, monkeypatch, "onnx", "trt")
    plan, onnx = tmp_path / "generator.plan", tmp_path / "generator.onnx"
    reason = f"no TensorRT: /opt/{WORD}/libnvinfer.so"
    artifact.write_sidecar(plan, artifact.read(plan).metadata.replace(parity=parity.not_measured(reason)))
    # as on the machine with the GPU
    monkeypatch.setattr("wgan.export.verify.open_artifact", lambda _, device: open_backend(onnx, device=device))
    found = verify_file(plan, device="cpu")
    assert (found.passed, found.leak) == (True, None)
    assert naming(tmp_path, WORD) == {"generator.onnx", "generator.pt"}
    assert artifact.read(plan).metadata.proven


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


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no images in s3://bucket/a/photos", "no images in photos"),
        ("`wgan train --data s3://bucket/a/photos`", "`wgan train --data photos`"),
        ("(gs://bucket/b.tar)", "(b.tar)"),
        ("az://container/x/y/1.png: damaged", "1.png: damaged"),
        ("--data 's3://bucket/a/my photos' steps=3", "--data my photos steps=3"),
    ],
)
def test_of_an_address_the_last_name_alone_is_shown(text: str, shown: str) -> None:
    assert without_paths(text, "s3://bucket/a/my photos", "s3://bucket/a/photos") == shown
