"""`minutes=30`: a run whose length is a time, not a number of steps; a few of its own steps are timed at its start."""

import time

import torch

from wgan.serve.base.progress import duration
from wgan.serve.base.terminal import counted
from wgan.training.config import OFTEN, Config, check_parts
from wgan.training.distributed import World
from wgan.training.networks import Stage
from wgan.training.run.trial import TrialStep
from wgan.training.step.cost import Cost, steps_within
from wgan.training.step.fast import WARMUP

ROUNDS = 20  # timed steps
PATIENCE = 2.0  # seconds, after which those have to do that there are
TRAINING = 0.94  # of the minutes; the rest is for sample grids, distances and checkpoints


def settle_minutes(config: Config, device: torch.device, world: World) -> tuple[Config, list[str]]:
    """The configuration with the steps that fit into ``config.minutes``, and a line that says how many.

    What is looked at and saved every so many steps, and was not set, then happens as often as in a run of any length.

    Raises:
        ConfigError: the batch cannot be shared by the processes.
    """
    if not config.minutes:
        return config, []
    check_parts(config, world.size)
    seconds = config.minutes * 60
    steps = world.same(lambda: steps_within(config, seconds * TRAINING, seconds_of(config, device, world.size)))
    usual = at_usual_times(config.replace(steps=steps))
    unset = {name: getattr(usual, name) for name in OFTEN if is_default(config, name)}
    what = f"{counted(steps, 'step')}, timed here ({duration(seconds)} with all that is looked at)"
    return config.replace(steps=steps, **unset), [f"minutes={config.minutes:g}: {what}"]


def at_usual_times(config: Config) -> Config:
    """The same, looked at and saved as often as suits its number of steps."""
    return config.replace(**{name: max(1, config.steps // times) for name, times in OFTEN.items()})


def is_default(config: Config, name: str) -> bool:
    """Whether a setting has the value that nobody chose."""
    return bool(getattr(config, name) == getattr(Config(), name))


def seconds_of(config: Config, device: torch.device, processes: int = 1) -> Cost:
    """Measured seconds of a step: the median of a few, on images of noise.

    The networks, batch and lanes are the run's own. Of several processes each times its share of the batch; what they
    wait for each other is left out.
    """
    own = config.replace(batch_size=config.batch_size // processes) if processes > 1 else config

    def seconds(stage: Stage) -> float:
        step = TrialStep(own, device)
        step.trainer.enter(stage)
        for _ in range(WARMUP + 1 if device.type == "cuda" else 1):
            step()
        taken: list[float] = []
        began = time.perf_counter()
        while not taken or (len(taken) < ROUNDS and time.perf_counter() - began < PATIENCE):
            before = time.perf_counter()
            step()
            taken.append(time.perf_counter() - before)
        return sorted(taken)[len(taken) // 2]

    return seconds
