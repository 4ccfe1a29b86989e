"""Learning rates over a run."""

import pytest
import torch

from tests.training.run.test_training import TINY, Reals
from wgan.training.config.schedule import SCHEDULES, rate_factor
from wgan.training.step.trainer import Trainer


@pytest.mark.parametrize(
    ("schedule", "wanted"),
    [
        ("constant", [1, 1, 1, 1, 1]),
        ("linear", [1, 0.75, 0.5, 0.25, 0]),
        ("cosine", [1, 0.853553, 0.5, 0.146447, 0]),
        ("cooldown", [1, 1, 1, 0.625, 0]),
    ],
)
def test_a_schedule_goes_from_one_to_its_end(schedule: str, wanted: list[float]) -> None:
    assert [rate_factor(step, 100, schedule, 0) for step in (0, 25, 50, 75, 100)] == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_warm_up_rises_to_the_whole_rate_and_never_starts_at_zero(schedule: str) -> None:
    factors = [rate_factor(step, 100, schedule, 10) for step in range(11)]
    assert factors[:10] == pytest.approx([0.1 * n for n in range(1, 11)])
    assert factors[10] == 1


def test_a_run_that_goes_on_past_its_steps_stays_at_zero() -> None:
    assert rate_factor(120, 100, "linear", 0) == 0
    assert rate_factor(120, 100, "cosine", 0) == 0
    assert rate_factor(120, 100, "cooldown", 0) == 0
    assert rate_factor(0, 1, "linear", 5) == pytest.approx(0.2)


def test_the_optimizers_follow_the_schedule() -> None:
    config = TINY.replace(steps=4, lr_schedule="linear", lr_warmup=1, lr_g=1e-3, lr_d=2e-3)
    trainer, reals = Trainer(config, torch.device("cpu")), Reals()
    seen = []
    for _ in range(4):
        trainer.iterate(reals)
        seen.append((trainer.optimizer_g.param_groups[0]["lr"], trainer.optimizer_d.param_groups[0]["lr"]))
    factors = [1, 1, 2 / 3, 1 / 3]
    assert [g for g, _ in seen] == pytest.approx([1e-3 * f for f in factors])
    assert [d for _, d in seen] == pytest.approx([2e-3 * f for f in factors])
