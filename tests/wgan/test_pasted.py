"""What is advised is a whole command: here it is run as it was printed."""

import os
import shutil
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests.said import commands_in, last_command
from wgan.cli import main
from wgan.serve.artifacts import artifact
from wgan.training.advice.remedies import ITSELF, recommended
from wgan.training.config import load
from wgan.training.records.folder import RunFolder
from wgan.training.run.session import Session
from wgan.training.step.trainer import Trainer

pytestmark = pytest.mark.slow

SMALL = [
    *["image_size=16", "base_channels=4", "latent_dim=8", "batch_size=4", "n_critic=1", "steps=4", "faces_count=64"],
    *["validate_images=16", "validate_every=2", "sample_every=2", "checkpoint_every=2", "precision=fp32"],
]
RUN = "my runs/a run"
TRAIN = ["train", "--data", "faces", "--config", "demo", "--device", "cpu", "--run", RUN, *SMALL]
Said = Callable[..., str]


@pytest.fixture
def said(here: Path, capsys: pytest.CaptureFixture[str]) -> Said:
    """Runs a command; gives all that it says."""

    def call(*words: str, code: int | None = 0) -> str:
        found = main(list(words))
        out, err = capsys.readouterr()
        assert code in (None, found), f"{words}\n{out}{err}"
        return out + err

    return call


@pytest.fixture
def trained(said: Said) -> Path:
    said(*TRAIN)
    return Path(RUN)


def test_what_a_finished_run_is_answered_with_makes_it_longer(said: Said, trained: Path) -> None:
    there = said(*TRAIN, code=2)
    finished = said(*last_command(there), code=2)
    words = last_command(finished)
    assert words == ["train", "--resume", "--run", RUN, "--device", "cpu", "steps=8"]
    assert "step 8" in said(*words)


def test_a_setting_that_a_run_cannot_change_begins_a_new_one(said: Said, trained: Path) -> None:
    refused = said("train", "--resume", "--run", RUN, "base_channels=8", code=2)
    said(*last_command(refused))
    (new,) = Path("runs").glob("*/config.yaml")
    assert load(str(new)).base_channels == 8
    assert load(str(new)).latent_dim == 8


def test_options_that_do_not_go_together_are_answered_with_those_that_do(said: Said, trained: Path) -> None:
    line = said("train", "--resume", "--run", RUN, "--config", "demo", "--device=cpu", "steps=5", code=2)
    assert last_command(line) == ["train", "--run", RUN, "--device=cpu", "steps=5", "--resume"]
    said(*last_command(line))
    line = said("train", "--run", "another", "data_changed=accept", "--config", "demo", *SMALL, code=2)
    assert last_command(line)[-1] == "--resume"


def stopped_at(step: int, monkeypatch: pytest.MonkeyPatch, times: int = 1) -> None:
    """Sends Ctrl-C, ``times`` times, once a run has done this many steps."""
    iterate = Session.iterate

    def then_stop(session: Session) -> None:
        iterate(session)
        if session.step == step:
            for _ in range(times):
                os.kill(os.getpid(), signal.SIGINT)

    assert threading.current_thread() is threading.main_thread()
    monkeypatch.setattr(Session, "iterate", then_stop)


@pytest.mark.parametrize("times", [1, 2])
def test_a_run_that_was_stopped_goes_on(said: Said, here: Path, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    stopped_at(3, monkeypatch, times)
    words = last_command(said(*TRAIN, code=130))
    assert words == ["train", "--resume", "--run", RUN, "--device", "cpu"]
    monkeypatch.undo()
    monkeypatch.chdir(here)
    assert "step 4" in said(*words)


def test_a_demo_that_was_stopped_goes_on(said: Said, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped_at(3, monkeypatch)
    first = said("demo", "--run", RUN, "--device", "cpu", *SMALL, code=130)
    monkeypatch.undo()
    monkeypatch.chdir(here)
    assert {words[0] for line in first.splitlines() for words in commands_in(line)} == {"demo"}
    assert "report" in said(*last_command(first))


@pytest.mark.parametrize("saved", [True, False])
def test_a_run_that_diverged_goes_on_with_lower_rates(
    said: Said, here: Path, monkeypatch: pytest.MonkeyPatch, saved: bool
) -> None:
    monkeypatch.setattr(Trainer, "finite", lambda trainer: saved and trainer.step <= 2)
    broken = said(*TRAIN, "lr_g=0.01", "lr_d=0.0002", code=2)
    monkeypatch.undo()
    monkeypatch.chdir(here)
    words = last_command(broken)
    assert words[-2:] == ["lr_g=0.001", "lr_d=0.0001"]
    assert ("--resume" in words) is saved
    said(*words)


def test_other_images_are_accepted_or_trained_on_anew(said: Said, here: Path) -> None:
    photos = here / "photos"
    photos.mkdir()
    for number in range(20):
        Image.new("RGB", (16, 16), (number, 0, 0)).save(photos / f"{number}.png")
    said("train", "--data", "photos", "--config", "demo", "--run", RUN, *SMALL)
    Image.new("RGB", (16, 16), (0, 9, 0)).save(photos / "one-more.png")
    line = said("train", "--resume", "--run", RUN, "steps=6", code=2)
    accept, fresh = commands_in(line)
    assert said(*fresh)
    assert "step 6" in said(*accept)


@pytest.mark.parametrize(
    "remedy",
    [
        {"lambda_gp": 20.0, "lr_d": 5e-05},
        {"batch_size": 8, "init_critic": ITSELF},
        {"spectral_norm": "critic", "depth": 1},
        {"lr_schedule": "linear", "steps": 8},
    ],
)
def test_advice_is_run_as_it_is_printed(said: Said, trained: Path, remedy: dict[str, object]) -> None:
    run = RunFolder(trained)
    commands = commands_in(recommended(remedy, run.read_config(), run))
    assert commands
    for words in commands:
        resumed = "--resume" in words
        line = said(*words, code=2 if resumed and "steps=8" not in words else 0)
        if resumed and "steps=8" not in words:  # it has done its steps, and is told how to do more
            again = last_command(line)
            assert set(words) < set(again)
            said(*again)


def test_what_is_not_exported_is_exported_and_what_is_not_measured_is_measured(said: Said, trained: Path) -> None:
    sample = ["sample", "-n", "1", "--run", RUN, "--out", "one.png"]
    said(*last_command(said(*sample, code=2)))
    said(*sample)
    (trained / "export/generator.onnx").unlink()
    missing = said("sample", "-n", "1", "--model", f"{RUN}/export/generator.onnx", code=2)
    said(*last_command(missing))
    said(*last_command(said("verify", "--model", f"{RUN}/export/generator.fp16.onnx", code=2)))
    assert (trained / "export/generator.fp16.onnx").is_file()
    shutil.rmtree(trained / "export")
    (trained / "export").mkdir()
    said(*last_command(said("verify", "--run", RUN, code=2)))
    shutil.rmtree(trained / "export")
    said(*last_command(said("bench", "--run", RUN, code=2)))

    file = trained / "export/generator.onnx"
    content = artifact.read(file)
    for passed in (None, False):
        report = {**(content.metadata.parity or {}), "passed": passed}
        artifact.write(file, content.data, content.metadata.replace(parity=report))
        line = said(*sample, code=0 if passed is None else None)
        assert commands_in(line)
        for words in commands_in(line):
            said(*words)


def test_what_a_command_lacks_is_put_into_it(said: Said, trained: Path) -> None:
    said("export", "--format", "onnx", "--run", RUN)
    assert last_command(said("sample", "--run", RUN, code=2)) == ["sample", "--run", RUN, "-n", "64"]
    said(*last_command(said("sample", "-n", "2", "--run", RUN, "--device=cuda", code=2)))
    said(*last_command(said("sample", "-n", "2", "--run", RUN, "--provider", "cuda", code=2)))
    wide = ["export", "--format", "onnx", "--precision", "bf16", "--run", RUN]
    said(*last_command(said(*wide, code=2)))


def test_a_run_without_checkpoints_is_told_what_makes_some(said: Said, trained: Path) -> None:
    shutil.rmtree(trained / "checkpoints")
    (trained / "checkpoints").mkdir()
    said(*last_command(said("export", "--format", "onnx", "--run", RUN, code=2)))
    for path in (trained / "checkpoints").iterdir():
        path.write_bytes(b"not one")
    said(*last_command(said("train", "--resume", "--run", RUN, "steps=9", code=2)))


def test_growing_that_would_not_end_gets_the_steps_that_it_takes(said: Said) -> None:
    line = said(*TRAIN, "progressive=true", "phase_images=100", code=2)
    said(*last_command(line))
