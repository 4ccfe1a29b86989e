"""`import wgan`: light to import, the same images as the command line, the same errors."""

import inspect
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

import wgan
from tests import ROOT
from tests.make import make_generator, make_run
from wgan.cli import main
from wgan.export import exporter
from wgan.generator import Images
from wgan.serve.base.install import install_command

TINY = {"image_size": 32, "base_channels": 4, "latent_dim": 8, "faces_count": 64, "batch_size": 8, "n_critic": 1,
        "validate_images": 32}  # fmt: skip


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def run(tmp_path: Path, tiny_export: Path) -> Path:
    """A run folder with an export folder."""
    return make_run(tmp_path / "run", tiny_export)


def test_import_loads_neither_torch_nor_a_runtime_nor_numpy():
    heavy = ["torch", "onnxruntime", "onnx", "numpy", "PIL", "rich", "typer", "yaml", "tensorrt", "dataclasses"]
    loaded = python(f"import sys, wgan; print([name for name in {heavy} if name in sys.modules])")
    assert loaded.strip() == "[]"


def test_all_that_is_public_is_there_and_documented():
    assert len(wgan.__all__) == len(set(wgan.__all__))
    for name in wgan.__all__:
        found = getattr(wgan, name)
        assert name in dir(wgan)
        assert isinstance(found, str) or found.__doc__
    errors = {name for name, kind in vars(wgan.serve.base.errors).items() if inspect.isclass(kind)}
    assert errors <= set(wgan.__all__)
    with pytest.raises(AttributeError, match="no attribute 'tarin'"):
        wgan.tarin  # type: ignore[attr-defined]  # noqa: B018


def test_export_is_a_function_and_a_package_in_any_order():
    orders = [
        "import wgan; call = wgan.export",
        "import wgan.export.exporter; import wgan; call = wgan.export",
        "import wgan; wgan.export; import wgan.export.exporter; call = wgan.export",
        "from wgan import export as call; import wgan.export.parity",
        "import wgan.export as call",
        "import wgan, importlib; importlib.import_module('wgan.export.table'); call = wgan.export",
    ]
    script = f"""
import inspect, sys
for order in {orders}:
    for name in [name for name in sys.modules if name.partition(".")[0] == "wgan"]:
        del sys.modules[name]  # as in a fresh process, but for torch
    names = dict()
    exec(order, names)
    import wgan.export.exporter
    assert wgan.export.exporter.export
    print(list(inspect.signature(names["call"]).parameters)[:2], end=" ")
    try:
        names["call"]("nowhere", "tflite")
    except wgan.ConfigError as error:
        print(error)
"""
    told = "['run', 'format'] --format tflite is not one of onnx, torchscript, trt, safetensors, web"
    assert python(script).splitlines() == [told] * len(orders)


@pytest.mark.parametrize("call", ["train()", "export('r', 'onnx')", "verify('generator.onnx')"])
def test_what_needs_torch_says_what_to_install(call: str):
    script = f"""
import sys, importlib.util
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
sys.meta_path.insert(0, Absent())
there = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name == "torch" else there(name, package)
import wgan
try:
    wgan.{call}
except wgan.BackendUnavailable as error:
    print(error)
"""
    assert python(script).strip().endswith(f"needs torch: {install_command('train')}")


USER = """
import wgan
import wgan.export.exporter

run = wgan.train("photos", preset="demo", steps=200)
artifact = wgan.export(run, "onnx", precision="fp16", opset=17)
reveal_type(artifact.path)
with wgan.load(artifact.path) as generator:
    images = generator.sample(64, seed=0, label=None, truncation=0.7)
    reveal_type(images)
print(wgan.verify(artifact.path).passed, run.step, wgan.__version__)
"""


@pytest.mark.slow
def test_a_users_program_is_checked_by_its_types(tmp_path: Path):
    types = tmp_path / "types" / "wgan"
    types.mkdir(parents=True)
    for folder in (*(ROOT / "wgan").iterdir(), ROOT / "serve", ROOT / "training", ROOT / "export"):
        (types / folder.name).symlink_to(folder)
    program, wrong = tmp_path / "user.py", tmp_path / "wrong.py"
    program.write_text(USER)
    wrong.write_text('import wgan\nwgan.export("r", "onnx", opsett=11)\nwgan.lode("x")\n')
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--cache-dir",
        str(ROOT / ".mypy_cache"),
        str(program),
        str(wrong),
    ]
    done = subprocess.run(
        command, cwd=ROOT, env={"MYPYPATH": str(types.parent), "PATH": ""}, capture_output=True, text=True, check=False
    )
    assert 'user.py:7: note: Revealed type is "pathlib.Path"' in done.stdout, done.stdout + done.stderr
    assert 'Revealed type is "wgan.generator.Images"' in done.stdout
    faults = [line for line in done.stdout.splitlines() if ": error:" in line]
    assert [line.split(":")[1] for line in faults] == ["2", "3"], faults
    assert all("wrong.py" in line for line in faults)


@pytest.mark.parametrize("name", ["generator.onnx", "generator.ts", "generator.pt", "generator.fp16.onnx"])
def test_sample_gives_the_images_of_the_command_line_bit_for_bit(run: Path, tmp_path: Path, name: str):
    file = run / "export" / name
    assert main(["sample", "--model", str(file), "-n", "70", "--seed", "5", "--out", str(tmp_path / "a.npy")]) == 0
    with wgan.load(file, device="auto") as generator:
        images = generator.sample(70, seed=5)
        assert (generator.image_size, generator.latent_dim, generator.classes) == ((32, 32), 16, None)
        assert np.array_equal(generator.sample(3, seed=8, batch_size=2), images[3:6])
    assert images.dtype == np.uint8
    assert images.shape == (70, 32, 32, 3)
    assert np.array_equal(np.load(tmp_path / "a.npy"), images)


def test_labels_and_truncation_are_those_of_the_command_line(tmp_path: Path):
    folder = tmp_path / "export"
    list(exporter.export(make_generator(classes=("a", "b"), conditional=True), folder, ["onnx"], max_batch=8))
    words = ["-n", "6", "--label", "b", "--truncation", "0.7", "--out", str(tmp_path / "a.npy")]
    assert main(["sample", "--model", str(folder / "generator.onnx"), *words]) == 0
    with wgan.load(folder / "generator.onnx") as generator:
        assert generator.classes == ("a", "b")
        assert np.array_equal(generator.sample(6, label="b", truncation=0.7), np.load(tmp_path / "a.npy"))
        assert not np.array_equal(generator.sample(6, label="a", truncation=0.7), np.load(tmp_path / "a.npy"))
        with pytest.raises(wgan.ConfigError, match="--label c is not one of a, b"):
            generator.sample(1, label="c")


def test_a_notebook_shows_images_as_a_picture(run: Path):
    with wgan.load(run) as generator:  # of a run, its ONNX artifact
        assert "generator.onnx" in repr(generator)
        images = generator.sample(5)
    assert (images._repr_png_() or b"").startswith(b"\x89PNG")
    assert (images[0]._repr_png_() or b"").startswith(b"\x89PNG")
    assert images[0, 0]._repr_png_() is None
    assert (images.astype(np.float32)).view(Images)._repr_png_() is None
    assert int(images.sum()) == int(np.asarray(images).sum())
    assert repr(generator) == "<wgan generator, closed>"
    with pytest.raises(wgan.BackendError, match="is closed"):
        generator.sample(1)
    generator.close()


def test_the_errors_are_those_of_the_command_line(run: Path, tmp_path: Path):
    with wgan.load(run) as generator:
        for wrong, says in (({"n": 0}, "-n 0 is not at least 1"), ({"n": 1, "seed": -1}, "outside its range")):
            with pytest.raises(wgan.ConfigError, match=says):
                generator.sample(**wrong)
    with pytest.raises(wgan.ArtifactError, match="no file"):
        wgan.load(tmp_path / "no.onnx")
    with pytest.raises(wgan.ConfigError, match="not one of auto, cpu, cuda"):
        wgan.load(run, device="tpu")
    with pytest.raises(wgan.ConfigError, match="did you mean batch_size"):
        wgan.train(batchsize=3)
    with pytest.raises(wgan.ConfigError, match="presets are demo"):
        wgan.train(preset="huge")
    with pytest.raises(wgan.ConfigError, match="name the folder to write to with out="):
        wgan.export(run / "export" / "generator.pt")


def test_what_does_not_match_is_refused_and_what_was_not_measured_is_a_warning(run: Path):
    from tests.wgan.test_cli import without_metadata
    from wgan.serve.artifacts import artifact

    path = run / "export" / "generator.onnx"
    payload = without_metadata(path.read_bytes())
    found = artifact.read(path).metadata.replace(payload_sha256=artifact.payload_digest("onnx", payload))
    artifact.write(path, payload, found.replace(parity=None))
    with pytest.warns(UserWarning, match="was not measured against PyTorch"):
        wgan.load(path).close()
    artifact.write(path, payload, found.replace(parity={"passed": False}))
    with pytest.raises(wgan.ParityError, match="does NOT match PyTorch"):
        wgan.load(path)


def test_a_file_of_another_program_is_loaded_with_a_warning(run: Path, tmp_path: Path):
    from tests.wgan.test_cli import without_metadata

    stranger = tmp_path / "stranger.onnx"
    stranger.write_bytes(without_metadata((run / "export" / "generator.onnx").read_bytes()))
    with wgan.load(run) as ours, pytest.warns(UserWarning, match="was not exported by wgan"):
        theirs = wgan.load(stranger)
    with wgan.load(run) as ours, theirs:
        assert np.array_equal(ours.sample(3), theirs.sample(3))


def test_the_whole_way(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    place = tmp_path / "one"
    run = wgan.train("faces", preset="demo", run=place, steps=2, device="cpu", progress=False, **TINY)
    assert capsys.readouterr() == ("", "")
    assert (run.path, run.step, run.finished) == (place, 2, True)
    assert run.swd is not None
    assert run.report.is_file()
    assert "<td>2</td>" in run._repr_html_()

    longer = wgan.train(run=run, resume=True, steps=3, device="cpu")
    assert longer.step == 3
    assert "going on in" in capsys.readouterr().err

    artifact = wgan.export(run, "onnx", checkpoint="last", max_batch=4)
    assert artifact.path == place / "export" / "generator.onnx"
    assert artifact.parity["passed"] is True
    assert artifact.metadata.source["step"] == 3
    assert "generator.onnx" in artifact._repr_html_()
    assert "generator.onnx" in run.report.read_text()
    alone = wgan.export(place / "export" / "generator.pt", "torchscript", out=tmp_path / "out", max_batch=4)
    assert alone.path == tmp_path / "out" / "generator.ts"

    one, all_ = wgan.verify(artifact.path), wgan.verify(run)
    assert (one.passed, all_.passed, len(one), [row.path for row in all_]) == (True, True, 1, [artifact.path])
    assert "holds" in str(one)
    assert "equal" in one._repr_html_()
    (place / "export" / "generator.ts").write_bytes(b"half a file")
    broken = wgan.verify(run)
    assert broken.passed is False
    assert "is damaged" in broken._repr_html_()
    with pytest.raises(wgan.ArtifactError, match="no file"):
        wgan.verify(tmp_path / "no.onnx")

    with wgan.load(run) as generator:
        assert generator.sample(2).shape == (2, 32, 32, 3)


def test_an_export_that_does_not_match_raises(run: Path, monkeypatch: pytest.MonkeyPatch):
    from wgan.export import parity

    monkeypatch.setitem(parity.GATES, ("fp32", "cpu"), {"max_abs": 0.0})
    with pytest.raises(wgan.ParityError, match="does not match PyTorch and was not written"):
        wgan.export(run / "export" / "generator.pt", out=run / "out", max_batch=4, device="cpu")


def test_the_version(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    from wgan import version

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"wgan {wgan.__version__}\n"
    # -S: nothing that is installed, so the checkout says its own
    words = [sys.executable, "-S", "-c", "import wgan; print(wgan.__version__)"]
    done = subprocess.run(words, cwd=ROOT, env={}, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    project = tmp_path / "pyproject.toml"
    assert version.in_checkout(project) == "unknown"
    project.write_text('[project]\nname = "other"\nversion = "9"\n')
    assert version.in_checkout(project) == "unknown"
    project.write_text('[project]\nname = "wgan"\nversion = "1.2.3"\n')
    assert version.in_checkout(project) == "1.2.3"
