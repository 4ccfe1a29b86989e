"""`precision=auto`: float32 or a shorter type, by timing the run's own steps in both."""

from contextlib import suppress

import torch

from wgan.serve.base.errors import ConfigError
from wgan.serve.bench.precision import Speeds, hopeless, least_seconds
from wgan.training.config import AUTO, Config, check_parts
from wgan.training.distributed import World
from wgan.training.run.trial import TrialStep
from wgan.training.step.fast import WARMUP
from wgan.training.step.flops import Passes, step_flops
from wgan.training.step.lanes import FEWEST_ROWS, Lanes, lanes_for

ROUNDS = 8
MOST_FLOPS = 6e10  # of a timed step on a CPU: about a second on one core
BUDGET = 4.0  # seconds, after which two rounds have to do


def settle(config: Config, device: torch.device, saved: Config | None, world: World) -> tuple[Config, list[str]]:
    """The configuration with a precision that can be computed in, and a line where `auto` became one.

    Args:
        saved: of a run that is gone on with: its precision stays, and nothing is timed.
        world: the processes that train together; the first one chooses for all.

    Raises:
        ConfigError: the batch cannot be shared by the processes.
    """
    if config.precision != AUTO:
        return config, []
    if saved is not None and saved.precision != AUTO:
        return config.replace(precision=saved.precision), [f"precision=auto: {saved.precision}, as this run has it"]
    check_parts(config, world.size)
    speeds = world.same(lambda: step_speeds(config, device, world.size))
    return config.replace(precision=speeds.choice), [speeds.line("precision=auto")]


def step_speeds(config: Config, device: torch.device, processes: int = 1) -> Speeds:
    """Times a critic and a generator step in float32 and in a shorter type: the one asked for, or what the device has.

    Of the run's own networks and batch; on a CPU of one lane, with fewer images where the networks are large. Where a
    CPU emulates the shorter type, which its product shows, that alone is timed.
    """
    short = config.precision if config.precision not in (AUTO, "fp32") else _short_type(device)
    if (known := hopeless(device.type, short)) is not None:
        return known
    timed = _timed(config, device, processes)
    steps = {name: _step(timed.replace(precision=name), device) for name in ("fp32", short)}
    warm = WARMUP + 1 if device.type == "cuda" else 1
    return Speeds(device.type, least_seconds(device.type, steps, ROUNDS, warm, BUDGET))


def _short_type(device: torch.device) -> str:
    """bfloat16, which needs no scale; float16 on GPUs that have no bfloat16."""
    if device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        return "fp16"
    return "bf16"


def _timed(config: Config, device: torch.device, processes: int) -> Config:
    """Settings of the timed steps: full image size, penalty included, as many images as are computed at once."""
    rows = config.batch_size // (config.accumulate * processes)
    timed = config.replace(
        batch_size=rows, accumulate=1, n_critic=1, penalty_every=1, progressive=False, compile="off"
    )  # compiling takes longer than it is worth for this; recorded as the run is, or a GPU's time would be the CPU's
    if device.type == "cuda":
        return timed
    flops = step_flops(Passes(timed))
    with suppress(ConfigError):  # a batch that minibatch statistics cannot group
        lanes = lanes_for(config, device, processes).count
        timed, flops = timed.replace(batch_size=rows // lanes), flops / lanes
        while flops > MOST_FLOPS and timed.batch_size % 2 == 0 and timed.batch_size // 2 >= FEWEST_ROWS:
            timed, flops = timed.replace(batch_size=timed.batch_size // 2), flops / 2
    return timed


def _step(config: Config, device: torch.device) -> TrialStep:
    step = TrialStep(config, device)
    if device.type == "cpu":
        step.trainer.compute_in(Lanes(1, 1))
    return step
