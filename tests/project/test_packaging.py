"""The wheel holds the four folders of source and nothing else, and installs slim."""

import shlex
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from tests import ROOT
from tests.project.outside import run, variables

pytestmark = pytest.mark.slow

FOLDERS = {
    "serve": "wgan/serve",
    "training": "wgan/training",
    "export": "wgan/export",
    "wgan": "wgan",
}  # → in the wheel
SLIM_LIMIT = 200e6  # bytes, with the bytecode that pip writes (about 30 MB; uv writes none)


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_wheel_holds_the_sources_and_nothing_else(tree: Path, built: tuple[Path, Path]):
    files = contents(built[0])
    meta = next(name.split("/")[0] for name in files if ".dist-info/" in name)
    packed = {name for name in files if not name.startswith(meta + "/")}
    in_tree = {
        f"{place}/{path.relative_to(tree / folder).as_posix()}"
        for folder, place in FOLDERS.items()
        for path in (tree / folder).rglob("*")
        if path.is_file()
    }
    assert packed == in_tree
    assert {f"{place}/py.typed" for place in FOLDERS.values()} <= packed
    assert files[f"{meta}/licenses/LICENSE"] == (tree / "LICENSE").read_bytes()
    assert "wgan = wgan.cli:main" in files[f"{meta}/entry_points.txt"].decode()


def test_the_sdist_builds_the_same_wheel(built: tuple[Path, Path], tmp_path: Path):
    wheel, sdist = built
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    assert not {"tests", "scripts", "build"} & {path.name for path in source.iterdir()}
    run(sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", tmp_path / "dist", cwd=source)
    assert contents(tmp_path / "dist" / wheel.name) == contents(wheel)


def test_both_packages_of_onnx_runtime_are_pinned_to_one_version():
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert pins["onnxruntime"] == pins["onnxruntime-gpu"]


@pytest.fixture(scope="module")
def slim(built: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel and its [onnx-cpu] extra alone: what a deployed machine has."""
    env = tmp_path_factory.mktemp("slim") / "env"
    wanted = ("-c", ROOT / "constraints.txt", f"wgan[onnx-cpu] @ {built[0].as_uri()}")
    if uv := shutil.which("uv"):
        run(uv, "venv", "-q", "--python", sys.executable, env)
        run(uv, "pip", "install", "-q", "--python", env / "bin/python", *wanted)
    else:
        run(sys.executable, "-m", "venv", "--without-pip", env)
        run(sys.executable, "-m", "pip", "--python", env / "bin/python", "install", "-q", *wanted)
    return env


def test_a_slim_install_is_small_and_has_no_torch(slim: Path):
    python = slim / "bin/python"
    find = "import importlib.util, sys; print([n for n in sys.argv[1:] if importlib.util.find_spec(n)])"
    assert run(python, "-c", find, "torch", "onnx", "yaml", "scipy", "numpy").strip() == "['numpy']"

    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    not_ours = {"pip", "setuptools", "pkg_resources", "_distutils_hack"}
    size = {
        item.name: sum(path.stat().st_size for path in [item, *item.rglob("*")] if path.is_file())
        for item in site.iterdir()
        if item.name.split("-")[0] not in not_ours
    }
    assert sum(size.values()) < SLIM_LIMIT, sorted(size.items(), key=lambda item: -item[1])[:8]


def test_a_slim_install_samples(slim: Path, tiny_export: Path, tmp_path: Path):
    assert "sample" in run(slim / "bin/wgan", "--help", cwd=tmp_path)
    shutil.copy(Path(tiny_export) / "generator.onnx", tmp_path)

    command = "wgan sample --backend onnx -n 64 --model generator.onnx --out out"
    run(*shlex.split(f"{slim}/bin/{command}"), cwd=tmp_path)

    expected = {f"seed-{seed:06d}.png" for seed in range(64)}
    assert {path.name for path in (tmp_path / "out").iterdir()} == expected | {"wgan.json"}
    for path in [*(tmp_path / "out" / name for name in expected), tmp_path / "out-grid.png"]:
        with Image.open(path) as image:
            assert image.mode == "RGB"
            image.load()


@pytest.mark.parametrize(
    ("command", "extra"),
    [
        ("wgan train", "train"),
        ("wgan demo", "train"),
        ("wgan export --format onnx", "train"),
        ("wgan verify", "train"),
        ("wgan sample -n 1 --backend torch --model generator.pt", "train"),
        ("wgan sample -n 1 --backend torchscript --model generator.ts", "train"),
        ("wgan sample -n 1 --backend trt --model generator.plan", "trt-rtx"),
    ],
)
def test_what_a_slim_install_lacks_is_one_line_naming_the_extra(
    slim: Path, tiny_export: Path, command: str, extra: str
):
    words = shlex.split(f"{slim}/bin/{command}")
    done = subprocess.run(words, cwd=tiny_export, env=variables(), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "pip install " in line
    assert line.endswith(f".whl[{extra}]'")
