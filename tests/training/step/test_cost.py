"""What a run costs: stage by stage, and how many steps a budget pays for."""

import pytest

from wgan.training.config import Config
from wgan.training.networks import Stage
from wgan.training.step.cost import flops_of, steps_within, total
from wgan.training.step.flops import Passes, step_flops
from wgan.training.step.growth import stage_at, stretches

SMALL = Config(image_size=32, base_channels=4, latent_dim=8, batch_size=8, n_critic=2, steps=100)


def price(stage: Stage) -> float:
    """1 at 8 px, 2 at 16, 4 at 32, and half as much more while a size fades in."""
    return stage.resolution / 8 * (1.5 if stage.fading else 1.0)


def test_without_growth_every_step_costs_the_same() -> None:
    assert total(SMALL, price) == 400
    assert steps_within(SMALL, 400, price) == 100
    assert total(SMALL, flops_of(SMALL)) == 100 * step_flops(Passes(SMALL))


def test_a_growing_run_is_paid_for_stretch_by_stretch() -> None:
    growing = SMALL.replace(progressive=True, phase_images=160)  # ten steps a phase
    assert total(growing, price) == 10 * (1 + 3 + 2 + 6) + 60 * 4
    assert steps_within(growing, 360, price) == 100
    assert steps_within(growing, 25, price) == 15
    assert steps_within(growing, 0.1, price) == 1
    assert total(growing.replace(steps=15), price) == 25


@pytest.mark.parametrize("progressive", [False, True])
def test_the_stretches_are_the_stages_that_a_run_goes_through(progressive: bool) -> None:
    config = SMALL.replace(progressive=progressive, phase_images=100)
    seen: list[tuple[int, bool]] = []
    for images in range(1, 1000, 2):  # at the very first image of a fade alpha is 0
        stage = stage_at(images, config)
        if not seen or seen[-1] != (stage.resolution, stage.fading):
            seen.append((stage.resolution, stage.fading))
    assert [(part.stage.resolution, part.stage.fading) for part in stretches(config)] == seen
    assert [part.images for part in stretches(config)] == [100] * (len(seen) - 1) + [None]


def test_smaller_images_are_cheaper_by_the_count_of_flops() -> None:
    flops = flops_of(SMALL.replace(progressive=True))
    sizes = [flops(Stage(size)) for size in (8, 16, 32)]
    assert sizes == sorted(sizes)
    assert flops(Stage(32, 0.5)) > sizes[-1]
