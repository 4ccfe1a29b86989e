"""`minutes`: how long a run may take becomes a number of steps, once."""

from pathlib import Path

import pytest
import torch

from tests.training.run.test_training import TINY
from wgan.cli import main
from wgan.serve.base.errors import ConfigError
from wgan.training.config import Config, load
from wgan.training.distributed import World
from wgan.training.networks import Stage
from wgan.training.records import folder as runs
from wgan.training.run import minutes
from wgan.training.run.estimate import estimate
from wgan.training.run.loop import train
from wgan.training.run.minutes import seconds_of, settle_minutes
from wgan.training.step.cost import Cost

CPU = torch.device("cpu")


@pytest.fixture
def quarter_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every step takes a quarter of a second."""

    def fixed(config: Config, device: torch.device, processes: int = 1) -> Cost:
        return lambda stage: 0.25

    monkeypatch.setattr(minutes, "seconds_of", fixed)


@pytest.mark.usefixtures("quarter_second")
def test_minutes_become_steps_and_looks_come_ten_times() -> None:
    config, lines = settle_minutes(Config(minutes=10.0), CPU, World())
    assert (config.steps, config.minutes) == (2256, 10.0)
    assert (config.sample_every, config.validate_every, config.checkpoint_every) == (225, 225, 112)
    assert lines == ["minutes=10: 2,256 steps, timed here (10 min 00 s with all that is looked at)"]


@pytest.mark.usefixtures("quarter_second")
def test_what_was_set_stays() -> None:
    config, _ = settle_minutes(Config(minutes=1.0, sample_every=7), CPU, World())
    assert (config.sample_every, config.validate_every) == (7, 22)


def test_without_minutes_nothing_is_timed() -> None:
    assert settle_minutes(Config(), CPU, World()) == (Config(), [])


@pytest.mark.usefixtures("quarter_second")
def test_a_run_keeps_its_steps_and_is_found_again(tmp_path: Path) -> None:
    asked = TINY.replace(minutes=0.03)
    ended = train(runs.begin(tmp_path / "run"), asked, device=CPU, cache=tmp_path)
    assert (ended.finished, ended.step) == (True, 6)
    saved = load(str(tmp_path / "run" / "config.yaml"))
    assert (saved.minutes, saved.steps) == (0.03, 6)
    assert runs.find_same(tmp_path, asked) == tmp_path / "run"
    assert runs.find_same(tmp_path, asked.replace(seed=5)) is None
    folder, again = runs.reopen(tmp_path / "run", {"steps": 8})
    assert train(folder, again, device=CPU, cache=tmp_path, resume=True).step == 8
    with pytest.raises(ConfigError, match="minutes was 0.03 in this run"):
        runs.reopen(tmp_path / "run", {"minutes": 5})


@pytest.mark.usefixtures("quarter_second")
def test_a_dry_run_shows_the_steps() -> None:
    assert estimate(TINY.replace(minutes=1.0), CPU).config.steps == 225


def test_steps_and_minutes_are_not_both_taken(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--config", "demo"], []):
        assert main(["train", "--device", "cpu", "steps=5", "minutes=1", *words]) == 2
        assert "steps and minutes both say how long to train" in capsys.readouterr().err
    assert list(here.iterdir()) == []


@pytest.mark.usefixtures("quarter_second")
def test_too_few_minutes_to_grow_is_a_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="lower phase_images or raise steps"):
        train(runs.begin(tmp_path), TINY.replace(minutes=0.1, progressive=True), device=CPU, cache=tmp_path)


def test_steps_are_timed_at_the_stage_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    class Step(minutes.TrialStep):
        def __call__(self) -> None:
            super().__call__()
            seen.append(self.trainer.stage)

    monkeypatch.setattr(minutes, "TrialStep", Step)
    monkeypatch.setattr(minutes, "PATIENCE", 600.0)
    assert seconds_of(TINY.replace(progressive=True), CPU)(Stage(16, 0.5)) > 0
    assert set(seen) == {Stage(16, 0.5)}
    assert len(seen) == 1 + minutes.ROUNDS  # one to warm up
