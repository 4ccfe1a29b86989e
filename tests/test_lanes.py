"""A batch in lanes: the same step as in one piece, to the bit whenever it is repeated, and no lane waits for ever."""

import os
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from wgan.serve.backends.pytorch.device import torch_device
from wgan.serve.machine import cores
from wgan.training.config import Config
from wgan.training.networks.norm import BatchNorm1d, BatchNorm2d, InLanes
from wgan.training.step.lanes import Lanes, lanes_for, threads
from wgan.training.step.trainer import Trainer

SMALL = Config(image_size=16, base_channels=4, batch_size=16, latent_dim=8, n_critic=2)
CPU = torch.device("cpu")


class Reals:
    """The same uint8 batches each time."""

    def __init__(self, config: Config):
        shape = (4, config.batch_size, config.image_size, config.image_size, config.channels)
        self.images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
        self.labels = torch.arange(config.batch_size) % 3
        self.given = 0

    def next(self) -> tuple[Tensor, Tensor]:
        self.given += 1
        return self.images[self.given % 4], self.labels


def trained(config: Config, lanes: Lanes, steps: int = 2) -> tuple[Tensor, Tensor, dict[str, float]]:
    """How far the weights have moved, the generator's statistics, and what was watched."""
    trainer = Trainer(config, CPU, shares=(0.3, 0.3, 0.4) if config.conditional else ())
    trainer.compute_in(lanes)
    weights = [*trainer.generator.parameters(), *trainer.critic.parameters()]
    begun = [weight.detach().clone() for weight in weights]
    reals: Any = Reals(config)
    for _ in range(steps):
        trainer.iterate(reals)
    moved = torch.cat([(now.detach() - then).flatten() for now, then in zip(weights, begun, strict=True)])
    statistics = torch.cat([buffer.double().flatten() for buffer in trainer.generator.buffers()])
    return moved, statistics, trainer.watch.drain()


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"minibatch": "stddev", "minibatch_group": 4},
        {"spectral_norm": "both", "depth": 2},
        {"conditional": True, "generator_labels": "batchnorm", "activation_checkpointing": True},
        {"progressive": True, "phase_images": 32, "penalty_every": 2},
    ],
)
def test_lanes_make_the_step_of_the_whole_batch(changes: dict[str, Any]) -> None:
    config = SMALL.replace(**changes)
    whole, statistics, watched = trained(config, Lanes(1, 1))
    for count in (2, 4):
        moved, own, seen = trained(config, Lanes(count, 1))
        assert float((moved - whole).norm() / whole.norm()) < 1e-2  # Adam makes steps of gradients near zero
        torch.testing.assert_close(own, statistics, rtol=1e-4, atol=1e-5)
        assert seen == pytest.approx(watched, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_lanes_repeat_themselves_to_the_bit(precision: str) -> None:
    config = SMALL.replace(precision=precision, accumulate=2)
    first, second = (trained(config, Lanes(4, 1)) for _ in range(2))
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])


@pytest.mark.parametrize(("kind", "shape"), [(nn.BatchNorm1d, (12, 6)), (nn.BatchNorm2d, (12, 6, 5, 3))])
@pytest.mark.parametrize("affine", [True, False])
def test_a_norm_in_lanes_is_torchs_over_the_whole_batch(kind: Any, shape: tuple[int, ...], affine: bool) -> None:
    torch.manual_seed(0)
    x, slope = 3 * torch.randn(shape) + 1, torch.randn(shape)
    reference, norm = kind(6, affine=affine), (BatchNorm1d if kind is nn.BatchNorm1d else BatchNorm2d)(6, affine=affine)
    for parameter in reference.parameters():
        nn.init.normal_(parameter)
    norm.load_state_dict(reference.state_dict())
    lanes = norm.lanes = Lanes(3, 1)

    def in_lane(number: int) -> list[Tensor]:
        rows = x.chunk(3)[number].clone().requires_grad_(True)
        y = norm(rows)
        return [y.detach(), *torch.autograd.grad(y, [rows, *norm.parameters()], slope.chunk(3)[number])]

    ys, grads, *sums = zip(*lanes.run(in_lane), strict=True)
    whole = x.clone().requires_grad_(True)
    y = reference(whole)
    y.backward(slope)
    assert whole.grad is not None
    torch.testing.assert_close(torch.cat(ys), y.detach())
    torch.testing.assert_close(torch.cat(grads), whole.grad)
    for parts, parameter in zip(sums, reference.parameters(), strict=True):
        torch.testing.assert_close(sum(parts), parameter.grad)
    for name, buffer in reference.named_buffers():
        torch.testing.assert_close(norm.get_buffer(name), buffer)


def test_a_lane_that_fails_ends_the_others_and_the_next_step_is_well() -> None:
    lanes, value = Lanes(3, 1), torch.ones(())

    def work(number: int) -> float:
        if number == 1:
            raise ValueError("a lane's own error")
        return float(sum(lanes.gather(value)))

    with pytest.raises(ValueError, match="a lane's own error"):
        lanes.run(work)
    assert lanes.run(lambda number: [float(found) for found in lanes.gather(value * number)]) == [[0, 1, 2]] * 3


def test_how_many_lanes_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    def made(threads: int, **changes: Any) -> tuple[int, int]:
        monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
        lanes = lanes_for(Config(batch_size=64).replace(**changes), CPU)
        return lanes.count, lanes.threads

    assert made(2) == (2, 1)
    assert made(16) == (8, 2)  # of eight images each, two threads on every operator
    assert made(6) == (4, 1)
    assert made(2, minibatch="stddev", minibatch_group=64) == (1, 2)
    assert made(2, batch_size=4, base_channels=8, image_size=16) == (1, 1)  # Python's work
    assert lanes_for(Config(), CPU, possible=False).count == 1


def test_a_quota_of_one_and_a_half_cores_is_two_lanes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "_quota", lambda root: 1.5)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(64)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    with threads(64):  # as torch starts there
        assert torch_device("cpu") == "cpu"
        lanes = lanes_for(Config(batch_size=64), CPU)
    assert (lanes.count, lanes.threads) == (2, 1)


def test_only_the_training_generators_norms_are_in_lanes() -> None:
    trainer = Trainer(SMALL, CPU)
    trainer.generator.compute_in(Lanes(2, 1))
    norms = [module for module in trainer.generator.modules() if isinstance(module, InLanes)]
    assert norms
    assert all(norm.lanes is not None for norm in norms)
    assert all(module.lanes is None for module in trainer.ema.module.modules() if isinstance(module, InLanes))
