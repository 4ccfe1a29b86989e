"""What a run costs, and how many steps a budget pays for: a step of a growing run costs more at each resolution."""

from collections.abc import Callable

from wgan.training.config import Config
from wgan.training.networks import Stage
from wgan.training.step.flops import Passes, step_flops
from wgan.training.step.growth import stretches

Cost = Callable[[Stage], float]  # of one step of the loop, at a stage of growth


def flops_of(config: Config) -> Cost:
    """FLOPs of a step: convolutions and products alone, whatever the precision."""
    return lambda stage: step_flops(Passes(config, stage))


def total(config: Config, cost: Cost) -> float:
    """What all ``config.steps`` steps cost."""
    spent, left = 0.0, float(config.steps)
    for part in stretches(config):
        steps = left if part.images is None else min(left, part.images / config.reals_per_step)
        if steps > 0:
            spent += steps * cost(part.stage)
        left -= steps
    return spent


def steps_within(config: Config, budget: float, cost: Cost) -> int:
    """How many steps ``budget``, in the units of ``cost``, pays for; at least 1."""
    steps = 0.0
    for part in stretches(config):
        price = cost(part.stage)
        most = None if part.images is None else part.images / config.reals_per_step
        if most is None or most * price > budget:
            return max(1, int(steps + budget / price))
        steps, budget = steps + most, budget - most * price
    raise AssertionError("the last stretch has no end")
