"""How long a run will take, said before it begins: from the speed that it had, or from its networks and one product."""

import statistics
from dataclasses import dataclass

import torch

from wgan.serve.base.progress import duration
from wgan.serve.base.terminal import counted
from wgan.serve.bench.peak import best_rate, torch_product
from wgan.training.config import AUTO, Config
from wgan.training.records import checkpoint
from wgan.training.records.folder import RunFolder
from wgan.training.records.history import read
from wgan.training.report.data import read_json
from wgan.training.run.estimate import EFFICIENCY, PEAK_SIZE
from wgan.training.step.cost import flops_of, total

LONG = 2 * 3600.0  # seconds, above which something shorter is worth saying
SHORT = 60.0  # seconds, below which they are not counted
RECENT = 20  # records whose speed is taken
FASTEST = 1e12  # images a second, above which a record is damaged


@dataclass(frozen=True)
class Forecast:
    """Seconds of a run, or of its rest."""

    seconds: float
    done: int  # steps
    steps: int  # that are still to do
    at_most: bool  # it may turn out shorter
    line: str

    @property
    def long(self) -> bool:
        """Whether something shorter is worth saying."""
        return self.seconds > LONG


def forecast(config: Config, device: torch.device, run: RunFolder | None = None, processes: int = 1) -> Forecast:
    """How long the run will take; of one that goes on, its rest. Nothing of the training's random state is touched.

    Args:
        config: all settings.
        device: where it will be trained.
        run: the folder of a run that goes on.
        processes: that train together.
    """
    done, speed = (0, None) if run is None else _so_far(run, device)
    left = max(config.steps - done, 0)
    what = counted(left, "step")
    if config.minutes and run is None:
        seconds = config.minutes * 60
        line = f"this run takes about {duration(seconds)}, as minutes={config.minutes:g} says"
        return Forecast(seconds, done, left, False, line)
    if speed is not None:
        seconds = left * config.reals_per_step / speed
        line = f"the rest of this run takes {_about(seconds)}: {what} at the speed so far"
        return Forecast(seconds, done, left, False, line)
    seconds = _seconds(config, device, processes) * left / config.steps
    at_most = config.precision == AUTO
    about = f"{'at most ' * (at_most and seconds >= SHORT)}{_about(seconds)}"
    begin = "this run" if run is None else "the rest of this run"
    float32 = f" in float32; precision={config.precision} is not timed yet" if config.precision != "fp32" else ""
    place = "CPU" if device.type == "cpu" else "GPU"
    line = f"{begin} takes {about} on this {place}: {what}, estimated{float32}"
    return Forecast(seconds, done, left, at_most, line)


def _about(seconds: float) -> str:
    return f"about {duration(seconds)}" if seconds >= SHORT else "less than a minute"


def _seconds(config: Config, device: torch.device, processes: int) -> float:
    """Of the whole run in float32: its FLOPs, counted on meta tensors, by a product that is timed twice."""
    with torch.random.fork_rng(devices=[]):
        flops = total(config, flops_of(config))
        peak = best_rate(torch_product(device, "fp32", PEAK_SIZE), 2 * PEAK_SIZE**3, 1)
    return flops / (peak * EFFICIENCY[device.type] * (processes if device.type == "cuda" else 1))


def _so_far(run: RunFolder, device: torch.device) -> tuple[int, float | None]:
    """The steps that a run keeps, and the real images a second of its last records; None where it ran on another kind
    of device, or nothing was recorded.
    """
    saved = checkpoint.list_steps(run.checkpoints)
    done = int(saved[-1].stem.removeprefix("step-")) if saved else 0
    if (read_json(run.info).get("device") == "cpu") != (device.type == "cpu"):
        return done, None
    speeds = [entry.get("images_per_second") for entry in read(run.metrics) if entry.get("kind") == "train"]
    known = [float(speed) for speed in speeds if isinstance(speed, int | float) and 0 < speed < FASTEST]
    return done, statistics.median(known[-RECENT:]) if known else None
