"""Each command of the README and of docs/ is run as it is written, in the order of its page, in a folder like a user's.

What is made small, and how, is in `small.py`; what is not run here is in `ELSEWHERE`, each with where it is run.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.make import make_generator
from tests.project.documents.pages import ROOT, Step, pages, steps
from tests.project.documents.server import Servers, servers
from tests.project.documents.small import smaller, smaller_program
from wgan.cli import main
from wgan.export import exporter
from wgan.serve.base.errors import ConfigError

# A command that sets up or measures the machine itself → where that is run instead.
ELSEWHERE = {
    "bash scripts/quickstart.sh": "tests/project/test_scripts.py",
    "bash scripts/test.sh": ".ci/run",
    'pip install ".[onnx-cpu]" -c constraints.txt': "tests/project/test_packaging.py",
    'pip install ".[onnx-cpu,serve]" -c constraints.txt': "tests/project/test_packaging.py",
    "python scripts/bench_contention.py": "tests/project/test_bench_scripts.py",
    "python scripts/bench_data.py": "tests/project/test_bench_scripts.py",
    "python scripts/bench_fleet.py": "tests/project/test_bench_scripts.py",
    "python scripts/bench_sampling.py": "tests/project/test_bench_scripts.py",
    "python scripts/bench_serving.py": "tests/project/test_bench_scripts.py",
    "python scripts/bench_training.py": "tests/project/test_bench_scripts.py",
}
# What only a GPU runs: without one such a command ends with one line that says so.
NEEDS_GPU = re.compile(r"--backend trt|--provider (tensorrt|cuda)|--device cuda|--format triton --triton-backend")
NO_GPU = re.compile(r"GPU|CUDA|TensorRT|--format trt")

PAGES = [page for page in pages() if page.is_file() and steps(page.read_text("utf-8"))]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generator's export folder whose latents are as long as the pages say."""
    folder = tmp_path_factory.mktemp("documents")
    generator = make_generator(latent_dim=128, image_size=16)
    list(exporter.export(generator, folder, ["torchscript", "onnx", "trt"], max_batch=16))
    list(exporter.export(generator, folder, ["onnx"], precision="fp16", max_batch=16))
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what most pages begin after: a run and its ONNX file."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(smaller("wgan train --config demo")[1:]) == 0
        assert main(["export", "--format", "onnx"]) == 0
    return folder


@pytest.fixture
def workplace(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    exported: Path,
    inception_weights: Path,
    bench_in_this_process: None,
) -> Path:
    """A folder with what the pages' commands name: images, weights, latents, artifacts, and no run yet."""
    random = np.random.default_rng(0)
    for kind in ("blue", "red"):
        for index in range(20):
            path = tmp_path / "photos" / kind / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(random.integers(0, 256, (20, 20, 3), np.uint8)).save(path)
    (tmp_path / "sprites").mkdir()
    for index in range(8):
        Image.fromarray(random.integers(0, 256, (20, 20, 4), np.uint8)).save(tmp_path / "sprites" / f"{index}.png")
    shutil.make_archive(str(tmp_path / "photos"), "zip", tmp_path / "photos")
    (tmp_path / "token.txt").write_text("a-token-of-enough-characters\n")
    (tmp_path / "token.txt").chmod(0o600)
    np.save(tmp_path / "z.npy", random.standard_normal((3, 128)).astype(np.float32))
    shutil.copytree(exported, tmp_path, dirs_exist_ok=True)
    shutil.copy(inception_weights, tmp_path / "weights.pth")
    _of_another_tool(tmp_path / "generator.onnx", tmp_path / "theirs.onnx")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


def _of_another_tool(ours: Path, theirs: Path) -> None:
    """The same network as a file that says nothing of wgan."""
    import onnx

    model = onnx.load(ours)
    del model.metadata_props[:]
    onnx.save(model, theirs)


def run(step: Step, capfd: pytest.CaptureFixture[str], served: Servers | None = None) -> str | None:
    """Runs one step of a page; why it did not do what the page says, or None. ``served``: the page's servers so far."""
    if step.language == "python":
        try:
            program = smaller_program(step.text)
        except ConfigError as error:
            return str(error)
        program = program if served is None else served.found(program)
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        return None if done.returncode == 0 else done.stderr[-600:]
    if step.text in ELSEWHERE:
        return None
    try:
        words = smaller(step.text if served is None else served.found(step.text), _steps_of_newest())
    except ConfigError as error:
        return str(error)
    if words[:2] == ["wgan", "serve"]:
        assert served is not None
        _export_newest()
        return served.start(words)
    if words[0] == "wgan":
        if words[1] in ("sample", "verify", "eval", "bench") and "--model" not in words:
            _export_newest()
            capfd.readouterr()
        code = main(words[1:])
        said = "".join(capfd.readouterr())
    elif words[0] in ("torchrun", "python", "cat", "ls", "curl"):
        env = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
        done = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
        code, said = done.returncode, done.stderr
    else:
        return "nothing runs it: write it so that a test can, or say in ELSEWHERE where it is run"
    if code in (1, 2) and NEEDS_GPU.search(step.text) and NO_GPU.search(said):
        return None
    return None if code == 0 else f"exit code {code}: {said[-600:]}"


def _export_newest() -> None:
    """A page has several trainings below each other; their reader would export what he goes on with."""
    runs = sorted(Path("runs").glob("*/config.yaml"), key=lambda path: path.stat().st_mtime_ns)
    if runs and not (runs[-1].parent / "export").is_dir():
        assert main(["export", "--format", "onnx"]) == 0


def _steps_of_newest() -> int:
    """How far the newest run has come."""
    logs = sorted(Path("runs").glob("*/metrics.jsonl"), key=lambda path: path.stat().st_mtime_ns)
    records = [json.loads(row) for row in logs[-1].read_text().splitlines()] if logs else []
    return max((int(record.get("step", 0)) for record in records), default=0)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_of_a_page_does_what_the_page_says(
    page: Path, workplace: Path, trained: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    todo = steps(page.read_text("utf-8"))
    if not any(step.text.startswith(("wgan train", "wgan demo")) for step in todo[:1]):
        shutil.copytree(trained, workplace, dirs_exist_ok=True)
    with servers() as served:
        found = [(step, run(step, capfd, served)) for step in todo]
    wrong = [f"{page.name}:{step.line}: `{step.text}`: {why}" for step, why in found if why is not None]
    assert wrong == [], "\n".join(wrong)


def test_a_setting_that_does_not_exist_is_found(workplace: Path, capfd: pytest.CaptureFixture[str]) -> None:
    found = run(Step("bash", "wgan train --config demo stepz=200", 1), capfd)
    assert found is not None
    assert "stepz" in found


@pytest.mark.parametrize(
    "command", ["wgan sample -N 64", "wgan sample --backends onnx -n 4", "wgan tarin", "cargo run"]
)
def test_a_command_that_does_not_work_is_found(
    command: str, workplace: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(Step("bash", command, 1), capfd) is not None


def test_a_setting_of_a_program_that_does_not_exist_is_found(
    workplace: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    wrong = run(Step("python", 'import wgan\nwgan.train("photos", preset="demo", stepz=200)', 1), capfd)
    assert wrong is not None
    assert "stepz" in wrong


def test_a_value_out_of_range_is_found_though_a_test_would_run_another() -> None:
    with pytest.raises(ConfigError, match="steps"):
        smaller("wgan train steps=-1")


def test_what_is_run_elsewhere_is_in_a_page_and_that_place_is_there() -> None:
    written = {step.text for page in PAGES for step in steps(page.read_text("utf-8"))}
    assert set(ELSEWHERE) <= written
    assert [place for place in ELSEWHERE.values() if not (ROOT / place).is_file()] == []


def test_commands_are_read_from_bash_and_console_blocks() -> None:
    text = """
```bash
# a comment
wgan train --data faces  # why
wgan export \\
  --format onnx
```
```console
$ wgan sample -n 64
64 images
```
```python
print(1)
```
```text
wgan nothing
```
"""
    assert [(step.language, shlex.split(step.text)[0]) for step in steps(text)] == [
        ("bash", "wgan"), ("bash", "wgan"), ("bash", "wgan"), ("python", "print(1)"),
    ]  # fmt: skip
    assert steps(text)[1] == Step("bash", "wgan export --format onnx", 5)
