"""`wgan train --dry-run`: what a run would cost, counted from its networks and one measured matrix product.

Of a precision other than float32, a few steps are timed beside float32's.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from wgan.serve.base.progress import duration
from wgan.serve.base.terminal import counted
from wgan.serve.bench.peak import torch_peak
from wgan.training.config import AUTO, Config
from wgan.training.distributed import World
from wgan.training.networks import parameter_count
from wgan.training.run.auto_precision import step_speeds
from wgan.training.run.minutes import settle_minutes
from wgan.training.step.cost import flops_of, total
from wgan.training.step.flops import Passes, count_flops, step_flops

# of the matrix-product peak; transposed convolutions on a CPU reach half of what a GPU's do
PEAK_SIZE = 2048  # of the matrices whose product is timed
EFFICIENCY = {"cpu": 0.45, "cuda": 0.25}


@dataclass(frozen=True)
class Estimate:
    """Counts are exact; seconds and bytes are estimates."""

    config: Config
    device: str
    generator_parameters: int
    critic_parameters: int
    generator_flops: int  # an image, forward
    critic_flops: int  # an image, forward
    step_flops: int  # n_critic critic steps and the generator step, whole batches
    peak_flops: float  # a second, measured float32 matrix product
    precision_times: float  # the steps' speed in the run's precision as a multiple of float32's, measured
    precision_line: str | None  # what is said of it
    seconds: float  # the whole run
    memory: int  # bytes

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {**vars(self), "config": self.config.to_dict()}

    def to_text(self) -> str:
        """For people, 80 columns wide."""
        critics, steps = self.config.n_critic, counted(self.config.steps, "step")
        gen, critic, mega = self.generator_flops / 1e6, self.critic_flops / 1e6, "MFLOP an image"
        rows = [
            ("generator", f"{self.generator_parameters:,} parameters, {gen:,.1f} {mega}"),
            ("critic", f"{self.critic_parameters:,} parameters, {critic:,.1f} {mega}"),
            (
                "one step",
                f"{self.step_flops / 1e9:,.1f} GFLOP: {counted(critics, 'critic step')} and the generator's",
            ),
            (f"this {self.device}", f"{self.peak_flops / 1e9:,.0f} GFLOP/s in a float32 matrix product"),
            *([("precision", self.precision_line)] if self.precision_line else []),
            ("estimate", f"{duration(self.seconds)} for {steps}, {self.memory / 2**20:,.0f} MiB"),
        ]
        return "\n".join([self.config.to_yaml(), *(f"{name:<10} {text}" for name, text in rows)])


def estimate(config: Config, device: torch.device) -> Estimate:
    """Counts a step on meta tensors, which compute nothing, and times a matrix product on ``device``.

    Of a growing run the step is one at full size, the seconds are those of all its sizes; of a lazy penalty it is
    the average step. How many classes the data has is not looked up: some are assumed. `precision=auto` and `minutes`
    become what they would become at the run's start.
    """
    times, line = 1.0, None
    if config.precision != "fp32":
        speeds, asked = step_speeds(config, device), config.precision
        config = config.replace(precision=speeds.choice) if asked == AUTO else config
        times = speeds.times(config.precision)
        line = speeds.line("precision=auto") if asked == AUTO else f"{times:.2g} times the speed of fp32"
    config, _ = settle_minutes(config, device, World())
    passes = Passes(config)
    batch = config.batch_size
    saved = 0

    def pack(tensor: Tensor) -> Tensor:
        nonlocal saved
        saved += tensor.nbytes
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        passes.critic_loss()
    peak = torch_peak(device, "fp32", PEAK_SIZE)
    numbers = parameter_count(passes.generator) + parameter_count(passes.critic)
    # weights, gradients, Adam's two moments; the averaged generator; what the penalty's graph keeps
    memory = 4 * (4 * numbers + parameter_count(passes.generator)) + saved // config.accumulate
    return Estimate(
        config=config,
        device=device.type,
        generator_parameters=parameter_count(passes.generator),
        critic_parameters=parameter_count(passes.critic),
        generator_flops=count_flops(passes.generate) // batch,
        critic_flops=count_flops(passes.criticise) // batch,
        step_flops=round(step_flops(passes)),
        peak_flops=peak,
        precision_times=times,
        precision_line=line,
        seconds=config.minutes * 60 or total(config, flops_of(config)) / (peak * EFFICIENCY[device.type] * times),
        memory=memory,
    )
