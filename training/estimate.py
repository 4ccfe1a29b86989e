"""`wgan train --dry-run`: what a run would cost, counted from its networks and one measured matrix product."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from wgan.serve.progress import duration
from wgan.training.config import Config
from wgan.training.losses import critic_loss, generator_loss
from wgan.training.networks import Critic, Generator, parameter_count

# of the matrix-product peak; transposed convolutions on a CPU reach half of what a GPU's do
CLASSES = 8
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
    seconds: float  # the whole run
    memory: int  # bytes

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {**vars(self), "config": self.config.to_dict()}

    def to_text(self) -> str:
        """For people, 80 columns wide."""
        gen, critic, mega = self.generator_flops / 1e6, self.critic_flops / 1e6, "MFLOP an image"
        rows = [
            ("generator", f"{self.generator_parameters:,} parameters, {gen:,.1f} {mega}"),
            ("critic", f"{self.critic_parameters:,} parameters, {critic:,.1f} {mega}"),
            (
                "one step",
                f"{self.step_flops / 1e9:,.1f} GFLOP: {self.config.n_critic} critic steps and the generator's",
            ),
            (f"this {self.device}", f"{self.peak_flops / 1e9:,.0f} GFLOP/s in a float32 matrix product"),
            ("estimate", f"{duration(self.seconds)} for {self.config.steps:,} steps, {self.memory / 2**20:,.0f} MiB"),
        ]
        return "\n".join([self.config.to_yaml(), *(f"{name:<10} {text}" for name, text in rows)])


def estimate(config: Config, device: torch.device) -> Estimate:
    """Counts a step on meta tensors, which compute nothing, and times a matrix product on ``device``.

    Of a growing run it is the step at full size, of a lazy penalty every step has one. How many classes the data
    has is not looked up: `CLASSES` are assumed.
    """
    classes = CLASSES if config.conditional else 0
    with torch.device("meta"):
        generator, critic = Generator(config, classes), Critic(config, classes)
        batch = config.batch_size
        z = torch.empty(batch, config.latent_dim)
        real = torch.empty(batch, config.channels, config.image_size, config.image_size)
        label = torch.zeros(batch, dtype=torch.int64) if classes else None
    with torch.no_grad():
        generator_flops = _flops(lambda: generator(z, label)) // batch
        critic_flops = _flops(lambda: critic(real, label)) // batch
    saved = 0

    def score(images: Tensor) -> Tensor:
        scores: Tensor = critic(images, label)
        return scores

    def pack(tensor: Tensor) -> Tensor:
        nonlocal saved
        saved += tensor.nbytes
        return tensor

    def critic_step() -> None:
        with torch.no_grad():
            fake = generator(z, label)
        with saved_tensors_hooks(pack, lambda tensor: tensor):
            loss = critic_loss(score, real, fake, torch.empty(batch, device="meta"), config.lambda_gp).loss
        loss.backward()

    step_flops = config.n_critic * _flops(critic_step)
    step_flops += _flops(lambda: generator_loss(score, generator(z, label)).backward())
    peak = measure_peak(device)
    numbers = parameter_count(generator) + parameter_count(critic)
    # weights, gradients, Adam's two moments; the averaged generator; what the penalty's graph keeps
    memory = 4 * (4 * numbers + parameter_count(generator)) + saved // config.accumulate
    return Estimate(
        config=config,
        device=device.type,
        generator_parameters=parameter_count(generator),
        critic_parameters=parameter_count(critic),
        generator_flops=generator_flops,
        critic_flops=critic_flops,
        step_flops=step_flops,
        peak_flops=peak,
        seconds=config.steps * step_flops / (peak * EFFICIENCY[device.type]),
        memory=memory,
    )


class _Counter(TorchDispatchMode):
    """Sums torch's own formulae. Its FlopCounterMode hooks modules, which autograd.grad does not allow."""

    flops = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.flops += int(formula(*args, **(kwargs or {}), out_val=out))
        return out


def _flops(run: Callable[[], object]) -> int:
    counter = _Counter()  # type: ignore[no-untyped-call]
    with counter:
        run()
    return int(counter.flops)


def measure_peak(device: torch.device, size: int = 2048, repeats: int = 5) -> float:
    """FLOP/s of the best of ``repeats`` float32 products of square matrices."""
    a, b = torch.randn(size, size, device=device), torch.randn(size, size, device=device)
    best = float("inf")
    for _ in range(repeats + 1):
        began = time.perf_counter()
        c = a @ b
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - began)
    del c
    return 2 * size**3 / best
