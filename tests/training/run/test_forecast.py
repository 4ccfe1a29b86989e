"""How long a run takes is said before it begins, without a trace in what it computes."""

import json
from pathlib import Path

import pytest
import torch

from wgan.training.config import Config, load
from wgan.training.records.folder import RunFolder
from wgan.training.run import forecast as module
from wgan.training.run.forecast import forecast

CPU = torch.device("cpu")
SMALL = Config(image_size=16, base_channels=4, batch_size=8, steps=100)


@pytest.fixture(autouse=True)
def peak(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of 100 GFLOP/s."""
    monkeypatch.setattr(module, "best_rate", lambda work, flops, repeats: 1e11)


def gone_on(folder: Path, steps: int, speed: object, device: str = "cpu") -> RunFolder:
    """A run with a checkpoint and records."""
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / f"step-{steps:08d}.pt").touch()
    (folder / "run.json").write_text(json.dumps({"device": device}))
    record = {"kind": "train", "step": steps, "images_per_second": speed}
    (folder / "metrics.jsonl").write_text(json.dumps(record) + "\n")
    return RunFolder(folder)


def test_the_papers_preset_takes_days_on_a_cpu_and_that_is_long() -> None:
    told = forecast(load("wgan-gp-64"), CPU)
    assert told.long
    assert told.seconds == pytest.approx(3.708e16 / (1e11 * 0.45), rel=0.01)
    assert told.line.startswith("this run takes about 9 d ")
    assert "40,000 steps, estimated" in told.line


def test_twice_the_steps_take_twice_as_long_and_a_small_run_no_minute() -> None:
    once, twice = (forecast(SMALL.replace(steps=steps), CPU) for steps in (100, 200))
    assert twice.seconds == pytest.approx(2 * once.seconds)
    assert not once.long
    assert once.line == "this run takes less than a minute on this CPU: 100 steps, estimated"
    assert "1 step, estimated" in forecast(SMALL.replace(steps=1), CPU).line


def test_minutes_are_what_was_asked_for_and_nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "flops_of", None)
    told = forecast(SMALL.replace(minutes=30.0), CPU)
    assert (told.seconds, told.long) == (1800, False)
    assert told.line == "this run takes about 30 min 00 s, as minutes=30 says"


def test_the_rest_of_a_run_takes_as_long_as_its_records_have_it(tmp_path: Path) -> None:
    run = gone_on(tmp_path, 40, 10.0)
    told = forecast(SMALL, CPU, run)
    assert (told.done, told.steps) == (40, 60)
    assert told.seconds == 60 * SMALL.reals_per_step / 10
    assert told.line == "the rest of this run takes about 4 min 00 s: 60 steps at the speed so far"


@pytest.mark.parametrize(("speed", "device"), [(10.0, "NVIDIA L40"), ("fast", "cpu"), (0, "cpu"), (1e300, "cpu")])
def test_the_speed_on_another_device_or_of_a_damaged_record_says_nothing(
    tmp_path: Path, speed: object, device: str
) -> None:
    told = forecast(SMALL, CPU, gone_on(tmp_path, 40, speed, device))
    assert told.seconds == pytest.approx(forecast(SMALL, CPU).seconds * 0.6)
    assert told.line.startswith("the rest of this run takes less than a minute")


def test_a_precision_that_is_not_timed_yet_is_said() -> None:
    assert "float32; precision=auto is not timed yet" in forecast(load("demo"), CPU).line
    assert "at most about" in forecast(load("demo").replace(steps=100_000), CPU).line


def test_the_random_state_stays_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # the product is made too
    monkeypatch.setattr(module, "PEAK_SIZE", 64)
    before = torch.get_rng_state()
    forecast(SMALL, CPU)
    assert torch.equal(torch.get_rng_state(), before)
