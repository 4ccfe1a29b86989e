"""Two commands on one folder at the same time: one owner of a run, and no export mixed of two generators."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.serve.base.test_owner import end, start, who
from wgan.cli import main
from wgan.commands import export as commands_export
from wgan.export import exporter, placed
from wgan.export.reference.generator import TrainedGenerator, load_generator, save_generator
from wgan.serve.artifacts import artifact
from wgan.serve.base.owner import FILE
from wgan.training.records import checkpoint

TINY = ["image_size=8", "base_channels=1", "latent_dim=2", "faces_count=64", "batch_size=8", "n_critic=1",
        "validate_images=16", "log_every=1", "checkpoint_every=1"]  # fmt: skip


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two steps. Not to be written into."""
    run = tmp_path_factory.mktemp("made") / "run"
    assert main(["train", "--run", str(run), "--device", "cpu", *TINY, "steps=2"]) == 0
    return run


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "run"))


@pytest.mark.parametrize(
    "words", [["train"], ["train", "--resume", "steps=3"], ["demo"]], ids=["begun", "gone on with", "demo"]
)
def test_a_run_in_use_is_refused_by_one_line_and_left_as_it_is(
    run: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    child = start(run)
    before = contents(run.parent)
    assert main([words[0], "--run", str(run), "--device", "cpu", *words[1:]]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert re.fullmatch(
        rf"wgan: {run} is in use by {who(child.pid)}: wait until that ends, or name another folder\n", said.err
    )
    assert contents(run.parent) == before
    end(child)


def test_a_start_that_is_refused_leaves_no_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "--device", "cpu", "--data", str(tmp_path / "nowhere"), "--run", str(tmp_path / "a" / "run")]
    assert main(words) == 2
    assert "nowhere" in capsys.readouterr().err
    assert not (tmp_path / "a" / "run").exists()


def wgan(*words: str, cwd: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "wgan", *words]
    return subprocess.Popen(command, cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.slow
def test_of_two_that_start_at_once_one_trains_and_a_killed_one_is_gone_on_with_at_once(tmp_path: Path) -> None:
    words = ["train", "--run", "same", "--device", "cpu", *TINY, "steps=1000000", "keep_checkpoints=2"]
    pair = [wgan(*words, cwd=tmp_path) for _ in range(2)]
    try:
        until = time.monotonic() + 100
        while all(child.poll() is None for child in pair):
            assert time.monotonic() < until, "both of them train"
            time.sleep(0.05)
        (loser,) = (child for child in pair if child.poll() is not None)
        (winner,) = (child for child in pair if child is not loser)
        out, err = loser.communicate()
        assert (loser.returncode, out) == (2, "")
        assert re.fullmatch(f"wgan: same is in use by {who(winner.pid)}: wait .*\n", err)
        while len(checkpoint.list_steps(tmp_path / "same" / "checkpoints")) < 2:
            assert time.monotonic() < until, "no progress"
            time.sleep(0.05)
        winner.send_signal(signal.SIGKILL)
        winner.communicate()
    finally:
        for child in pair:
            child.kill()
            child.wait()
    assert (tmp_path / "same" / FILE).exists()
    step = checkpoint.load_last(tmp_path / "same" / "checkpoints").state["step"]
    resume = ["train", "--resume", "--run", str(tmp_path / "same"), "--device", "cpu", f"steps={step + 1}"]
    assert main(resume) == 0
    assert not (tmp_path / "same" / FILE).exists()


def test_exports_wait_for_each_other_and_the_last_is_whole(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second export begins where the first is between `generator.pt` and the artifact."""
    first, last = (str(path) for path in checkpoint.list_steps(run / "checkpoints")[-2:])
    target, codes, waited, said = tmp_path / "out", [], threading.Event(), list[str]()

    def export(which: str) -> None:
        words = ["export", "--format", "torchscript", "--out", str(target), "--max-batch", "4", "--checkpoint", which]
        codes.append(main(words))

    second = threading.Thread(target=export, args=(last,))

    def save_and_meet(path: Path, generator: TrainedGenerator) -> None:
        save_generator(path, generator)
        if not said:
            second.start()
            waited.wait(10)

    def hear(line: str) -> None:
        said.append(line)
        if line.startswith("waiting for"):
            waited.set()

    monkeypatch.setattr(exporter, "save_generator", save_and_meet)
    monkeypatch.setattr(commands_export, "say", hear)
    monkeypatch.setattr(placed, "say", hear)
    export(first)
    second.join()
    assert codes == [0, 0]
    assert re.fullmatch(f"waiting for {target}, which is in use by {who(os.getpid())}", said[0])
    assert said[1:] == [f"wrote {target}/generator.ts"] * 2
    found = artifact.read(target / "generator.ts").metadata
    reference = load_generator(target / "generator.pt")
    assert (found.source["step"], found.source["weights_sha256"]) == (reference.step, reference.weights_sha256)
    assert reference.step == load_generator(Path(last)).step
    assert {path.name for path in target.iterdir()} == {"generator.pt", "generator.ts"}


def test_verify_waits_for_an_export_and_leaves_nothing(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "--run", str(run), "--format", "torchscript", "--max-batch", "4"]) == 0
    capsys.readouterr()
    child = start(run / "export")
    timer = threading.Timer(0.5, end, (child,))
    timer.start()
    assert main(["verify", "--run", str(run), "--json"]) == 0
    timer.join()
    said = capsys.readouterr()
    assert json.loads(said.out)["passed"] is True
    assert re.fullmatch(f"waiting for {run / 'export'}, which is in use by {who(child.pid)}", said.err.splitlines()[0])
    assert {path.name for path in (run / "export").iterdir()} == {"generator.pt", "generator.ts"}
