"""Progressive training: when each resolution comes, how it is faded in, and what is kept of it."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from wgan.export.reference.generator import load_generator
from wgan.serve.base.errors import CheckpointError, ConfigError
from wgan.training.config import Config
from wgan.training.networks import Critic, Generator, Stage
from wgan.training.records import checkpoint
from wgan.training.records import folder as runs
from wgan.training.run.loop import train
from wgan.training.step.growth import at_stage, grown_after, stage_at
from wgan.training.step.trainer import Trainer

CPU = torch.device("cpu")
GROWING = Config(image_size=32, base_channels=4, latent_dim=6, faces_count=64, batch_size=8, n_critic=2, steps=12,
                 log_every=4, sample_every=3, validate_every=3, validate_images=16, checkpoint_every=3,
                 progressive=True, phase_images=32)  # fmt: skip


@pytest.mark.parametrize(
    ("images", "resolution", "alpha"),
    [(0, 8, 1), (99, 8, 1), (100, 16, 0), (150, 16, 0.5), (200, 16, 1), (299, 16, 1), (300, 32, 0), (375, 32, 0.75),
     (499, 32, 1), (500, 64, 0), (599, 64, 0.99), (600, 64, 1), (10**9, 64, 1)],
)  # fmt: skip
def test_each_resolution_is_faded_in_and_then_trained_for_as_long(images: int, resolution: int, alpha: float) -> None:
    config = Config(progressive=True, phase_images=100)
    assert stage_at(images, config) == Stage(resolution, alpha)
    assert grown_after(config) == 600


@pytest.mark.parametrize("images", [0, 10**9])
def test_without_growth_it_is_always_at_full_size(images: int) -> None:
    assert stage_at(images, Config()) == Stage(64)
    assert grown_after(Config()) == 0
    assert [stage_at(n, Config(image_size=256, progressive=True, phase_images=1)).resolution for n in range(0, 11, 2)][
        -1
    ] == 256


def test_reals_are_blended_as_the_fakes_are() -> None:
    x = torch.rand(2, 3, 32, 32)
    whole = at_stage(x, Stage(16))
    torch.testing.assert_close(whole, F.interpolate(x, size=16, mode="area"))
    coarse = F.interpolate(F.interpolate(x, size=8, mode="area"), size=16, mode="nearest")
    torch.testing.assert_close(at_stage(x, Stage(16, 0.25)), 0.75 * coarse + 0.25 * whole)
    assert torch.equal(at_stage(x, Stage(32)), x)


def test_a_resolution_comes_in_without_a_jump() -> None:
    """At alpha 0 the images are the former ones enlarged, and the critic scores those as before."""
    torch.manual_seed(0)
    generator, critic = Generator(GROWING).eval(), Critic(GROWING)
    z = torch.randn(4, 6)
    with torch.no_grad():
        for network in (generator, critic):
            network.stage = Stage(16)
        before, images = generator(z), torch.rand(4, 3, 16, 16)
        score = critic(images)
        for network in (generator, critic):
            network.stage = Stage(32, 0.0)
        torch.testing.assert_close(generator(z), F.interpolate(before, scale_factor=2.0, mode="nearest"))
        torch.testing.assert_close(critic(F.interpolate(images, scale_factor=2.0, mode="nearest")), score)
        for network in (generator, critic):
            network.stage = Stage(32, 0.5)
        halfway = generator(z)
        generator.stage = Stage(32)
        whole = generator(z)
    torch.testing.assert_close(halfway, (whole + F.interpolate(before, scale_factor=2.0, mode="nearest")) / 2)


def test_a_new_resolution_starts_with_optimizers_that_remember_nothing() -> None:
    class Reals:
        def next(self) -> tuple[torch.Tensor, None]:
            return torch.randint(0, 256, (8, 32, 32, 3), dtype=torch.uint8), None

    trainer = Trainer(GROWING, CPU)
    ages = []
    for _ in range(6):
        trainer.iterate(Reals())  # type: ignore[arg-type]
        state = trainer.optimizer_d.state[trainer.critic.score.weight]
        ages.append((trainer.stage.resolution, int(state["step"])))
    # 16 images a step: 16 px begin with 32 images, 32 px with 96
    assert ages == [(8, 2), (8, 4), (16, 2), (16, 4), (16, 6), (16, 8)]
    trainer.iterate(Reals())  # type: ignore[arg-type]
    assert trainer.stage == Stage(32, 0.0)
    assert int(trainer.optimizer_d.state[trainer.critic.score.weight]["step"]) == 2


@pytest.mark.slow
def test_only_a_grown_generator_can_be_the_best_or_be_exported(tmp_path: Path) -> None:
    folder = runs.begin(tmp_path / "run")
    train(folder, GROWING.replace(keep_checkpoints=10), device=CPU, cache=tmp_path / "cache")
    states: dict[int, Any] = {s["step"]: s for s in map(checkpoint.load, checkpoint.list_steps(folder.checkpoints))}
    assert states[3]["stage"] == {"resolution": 16, "alpha": 0.0}
    assert states[9]["stage"] == {"resolution": 32, "alpha": 1.0}
    assert checkpoint.load(folder.checkpoints / "best.pt")["step"] >= 9
    module = load_generator(checkpoint.find(folder.path, "best", print)).module
    assert list(module.heads) == ["32"]
    assert module(torch.zeros(2, 6)).shape == (2, 3, 32, 32)
    growing = checkpoint.step_path(folder.checkpoints, 3)
    with pytest.raises(CheckpointError, match="is still growing: it has reached 16 of 32 px, 0% faded in"):
        load_generator(growing)


@pytest.mark.slow
def test_steps_that_never_reach_the_full_size_are_refused(tmp_path: Path) -> None:
    last = GROWING.replace(steps=9, validate_every=9, sample_every=9, checkpoint_every=9)
    train(runs.begin(tmp_path / "just"), last, device=CPU, cache=tmp_path / "cache")
    assert load_generator(checkpoint.find(tmp_path / "just", "best", print)).step == 9
    with pytest.raises(ConfigError, match="after 128 real images, the last of 8 steps begins after 112: lower"):
        train(runs.begin(tmp_path / "run"), GROWING.replace(steps=8), device=CPU, cache=tmp_path / "cache")


def test_no_advice_is_given_on_images_that_are_still_small() -> None:
    from wgan.training.advice.signs import Signs

    signs = Signs(GROWING)  # at full size after 8 steps
    look = {"kind": "validation", "swd": 90.0, "diversity": 0.1, "sharpness": 0.1}
    assert not any(signs.add(look | {"step": step}) for step in range(8))
    assert signs.untrained is None
    assert not signs.looks
