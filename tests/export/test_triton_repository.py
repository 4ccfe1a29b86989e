"""A Triton repository under a server that reads it: versions, each whole; and what is shipped to run in Triton."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.make import make_generator
from wgan.export import exporter
from wgan.export.formats import triton
from wgan.export.formats.triton import repository
from wgan.export.formats.triton.seeds import client_text, seeds_files
from wgan.export.formats.triton.served.drawing import labels_for, latents_for, pixels_of, png_of
from wgan.serve.backends.open import open_backend
from wgan.serve.base.errors import ConfigError, OutputError
from wgan.serve.latents.table import latents
from wgan.serve.latents.truncation import Truncation
from wgan.serve.outputs.pixels import to_uint8
from wgan.serve.sampling import sampler

USUAL = triton.Settings(max_batch=8)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another generator's artifact of the same name."""
    folder = tmp_path_factory.mktemp("other")
    list(exporter.export(make_generator(seed=1), folder, ["onnx"], max_batch=4))
    return folder / "generator.onnx"


def tree(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file below: when it was written, and its bytes."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def test_an_artifact_that_is_there_is_not_written_again(tiny_export: Path, tmp_path: Path) -> None:
    source = tiny_export / "generator.onnx"
    first = triton.write_repository(source, tmp_path / "t", USUAL)
    before = tree(tmp_path / "t")
    again = triton.write_repository(source, tmp_path / "t", USUAL)
    assert first == again
    assert first.version == 1
    assert tree(tmp_path / "t") == before
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["client.py", "t"]  # nothing half-made is left


def test_another_artifact_is_a_new_version_and_the_old_one_stays_as_it_was(
    tiny_export: Path, other: Path, tmp_path: Path
) -> None:
    one = tiny_export / "generator.onnx"
    model = triton.write_repository(one, tmp_path / "t", USUAL).model
    before = tree(model / "1")
    companion = tree(tmp_path / "t" / "generator_seeds")
    assert triton.write_repository(other, tmp_path / "t", USUAL).version == 2
    assert tree(model / "1") == before
    assert (model / "2" / "model.onnx").read_bytes() == other.read_bytes()
    assert tree(tmp_path / "t" / "generator_seeds") == companion  # its code is the same
    # the newest is what is served: to go back is a version too
    assert triton.write_repository(one, tmp_path / "t", USUAL).version == 3
    assert (model / "3" / "model.onnx").read_bytes() == one.read_bytes()


def test_the_number_after_nine_is_ten(tiny_export: Path, other: Path, tmp_path: Path) -> None:
    model = triton.write_repository(other, tmp_path / "t", USUAL).model
    (model / "1").rename(model / "9")
    (model / "notes").mkdir()
    assert triton.write_repository(tiny_export / "generator.onnx", tmp_path / "t", USUAL).version == 10


def test_nothing_half_made_is_ever_in_the_repository(
    tiny_export: Path, other: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a file is being written, a server sees whole versions alone."""
    folder, seen = tmp_path / "t", []
    write = repository.atomic_write

    def watched(path: Path, content: bytes) -> None:
        for version in folder.glob("*/[0-9]*"):
            name = "model.py" if version.parent.name.endswith("_seeds") else "model.onnx"
            seen.append((version / name).is_file() and (version.parent / "config.pbtxt").is_file())
        write(path, content)

    monkeypatch.setattr(repository, "atomic_write", watched)
    triton.write_repository(tiny_export / "generator.onnx", folder, USUAL)
    triton.write_repository(other, folder, USUAL)
    assert len(seen) > 10
    assert all(seen)


def test_a_version_that_could_not_be_written_is_not_there(
    tiny_export: Path, other: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "t"
    triton.write_repository(tiny_export / "generator.onnx", folder, USUAL)
    before = tree(folder)
    write = repository.atomic_write

    def full(path: Path, content: bytes) -> None:
        if path.name == "model.onnx":
            raise OutputError("no space")
        write(path, content)

    monkeypatch.setattr(repository, "atomic_write", full)
    with pytest.raises(OutputError, match="no space"):
        triton.write_repository(other, folder, USUAL)
    assert tree(folder) == before
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["client.py", "t"]
    monkeypatch.undo()
    (tmp_path / ".t.new" / "2").mkdir(parents=True)  # of a process that was killed
    assert triton.write_repository(other, folder, USUAL).version == 2
    assert not (tmp_path / ".t.new").exists()


def test_the_client_asks_the_companion_of_its_generator() -> None:
    assert client_text("generator").count("generator_seeds") == 1
    assert '\nMODEL = "generator_fp16_seeds"\n' in client_text("generator_fp16")


def test_what_is_shipped_makes_the_same_inputs_and_pixels_with_numpy_alone(tiny_export: Path, tmp_path: Path) -> None:
    """In a process that can import nothing else of the environment, wgan above all."""
    for name, data in seeds_files().items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    seeds = np.array([5, 2**63 - 1, 0, 5], np.int64)
    with open_backend(tiny_export / "generator.onnx", device="cpu") as backend:
        images = backend.run(latents(0, 2, 16))
    np.savez(tmp_path / "in.npz", seeds=seeds, images=images, truncation=np.full(4, 0.7, np.float32))
    script = """
import sys
import numpy as np
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"PIL", "deflate", "typer", "rich", "torch", "onnxruntime"}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
sys.path.insert(0, ".")
from wgan.export.formats.triton.served import drawing
given = np.load("in.npz")
np.savez("out.npz", z=drawing.latents_for(given["seeds"], 16, None, None),
    truncated=drawing.latents_for(given["seeds"], 16, given["truncation"], "truncated"),
    scaled=drawing.latents_for(given["seeds"], 16, given["truncation"], "scaled"),
    pixels=drawing.pixels_of(given["images"]))
print(sys.modules["wgan"].__file__)
"""
    command = [sys.executable, "-I", "-B", "-c", script]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).resolve() == (tmp_path / "wgan" / "__init__.py").resolve()
    made = np.load(tmp_path / "out.npz")
    z = np.concatenate([latents(int(seed), 1, 16) for seed in seeds])
    for name, wanted in (("z", z), ("truncated", Truncation(0.7)(z)), ("scaled", Truncation(0.7, "scaled")(z))):
        assert made[name].tobytes() == wanted.tobytes(), name
    np.testing.assert_array_equal(made["pixels"], to_uint8(images))


def test_the_class_of_a_seed_is_that_of_a_sample(tiny_export: Path) -> None:
    class Three:
        class metadata:
            classes = ("a", "b", "c")

    seeds = np.array([2**63 - 1, 0, 4, 5], np.int64)
    wanted = [int(sampler.labels_for(Three, int(seed), 1, None)[0]) for seed in seeds]  # type: ignore[arg-type, index]
    assert labels_for(seeds, 3, None).tolist() == wanted  # type: ignore[union-attr]
    assert labels_for(seeds, 0, None) is None
    for wrong in ([0, -1, 0, 0], [0, 3, 0, 0]):
        with pytest.raises(ValueError, match="label is outside its range, 0 to 2"):
            labels_for(seeds, 3, np.array(wrong))


@pytest.mark.parametrize(
    ("seed", "truncation", "kind", "says"),
    [
        (-1, None, None, "seeds must be from 0 to 2^63 - 1, not -1"),
        (0, [11.0, 11.0], None, "--truncation 11 is outside its range"),
        (0, [float("nan")] * 2, None, "--truncation nan is outside its range"),
        (0, [0.5, 0.5], "psi", "--truncation-kind psi is not one of truncated, scaled"),
        (0, [0.5, 0.6], None, "truncation is to be the same for all images"),
    ],
)
def test_what_cannot_be_drawn_is_refused(
    seed: int, truncation: list[float] | None, kind: str | None, says: str
) -> None:
    cut = None if truncation is None else np.array(truncation, np.float32)
    with pytest.raises((ConfigError, ValueError)) as raised:
        latents_for(np.array([seed, seed]), 8, cut, kind)
    assert says in str(raised.value)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_png_holds_the_pixels(tmp_path: Path, channels: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (5, 7, channels), np.uint8)
    (tmp_path / "a.png").write_bytes(png_of(image))
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.mode == {1: "L", 3: "RGB", 4: "RGBA"}[channels]
        np.testing.assert_array_equal(np.asarray(picture).reshape(image.shape), image)


def test_pixels_of_a_generator_that_makes_them_stay_as_they_are() -> None:
    image = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3), np.uint8)
    assert pixels_of(image) is image


def test_the_export_says_how_to_start_a_server(
    tiny_export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from wgan.cli import main

    monkeypatch.chdir(tmp_path)
    words = ["export", "--format", "triton", "--checkpoint", str(tiny_export / "generator.pt"), "--out", "my models"]
    assert main([*words, "--max-batch", "4", "--triton-wait", "2"]) == 0
    line = capsys.readouterr().out.split("start a server: ")[1].splitlines()[0]
    assert "tritonserver '--model-repository=my models/triton' " in line
    assert line.endswith(" --exit-timeout-secs=32")
    shutil.rmtree(tmp_path / "my models")
    assert main([*words, "--max-batch", "4", "--triton-wait", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["triton"]["command"] == line
