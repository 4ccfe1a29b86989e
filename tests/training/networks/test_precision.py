"""Each precision against float64: the penalty, and the parameters' gradients through its double backward."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.make import loss_of
from wgan.training.config import Config
from wgan.training.networks import Critic
from wgan.training.networks.precision import FIRST_SCALE, MixedPrecision
from wgan.training.records import folder as runs
from wgan.training.run.loop import train
from wgan.training.step.losses import gradient_penalty
from wgan.training.step.trainer import Trainer

CPU = torch.device("cpu")
# of the gradient's norm: about ten units in the last place of each type
TOLERANCE = {"fp32": 1e-5, "bf16": 5e-2, "fp16": 1e-2}


def gradient(critic: Critic, precision: str, batch: tuple[Tensor, Tensor, Tensor]) -> tuple[float, Tensor]:
    """The penalty, and the critic's gradient of the whole loss as one vector, as the trainer computes them."""
    mixed = MixedPrecision(precision, CPU)

    def score(images: Tensor) -> Tensor:
        with mixed.autocast():
            return critic(images).float()  # type: ignore[no-any-return]

    result = loss_of(score, *batch, 10.0, mixed.scale(batch[0]))
    scale = mixed.scale(batch[0])
    (result.loss * scale).backward()
    return float(result.penalty), torch.cat(
        [p.grad.flatten() / scale for p in critic.parameters() if p.grad is not None]
    )


def reference(critic: Critic, batch: tuple[Tensor, Tensor, Tensor]) -> tuple[float, Tensor]:
    wide = Critic(Config(image_size=16, base_channels=8)).double()
    wide.load_state_dict(critic.state_dict())
    real, fake, epsilon = (tensor.double() for tensor in batch)
    result = loss_of(wide, real, fake, epsilon, 10.0)
    result.loss.backward()
    return float(result.penalty), torch.cat([p.grad.flatten() for p in wide.parameters() if p.grad is not None])


@pytest.fixture
def critic() -> Critic:
    torch.manual_seed(0)
    critic = Critic(Config(image_size=16, base_channels=8))
    with torch.no_grad():
        for parameter in critic.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return critic


@pytest.fixture
def batch() -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.rand(8, 3, 16, 16) * 2 - 1, torch.rand(8, 3, 16, 16) * 2 - 1, torch.rand(8)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_penalty_and_gradients_match_float64(
    critic: Critic, batch: tuple[Tensor, Tensor, Tensor], precision: str
) -> None:
    wanted_penalty, wanted = reference(critic, batch)
    penalty, found = gradient(critic, precision, batch)
    assert penalty == pytest.approx(wanted_penalty, rel=TOLERANCE[precision])
    assert (found.double() - wanted).norm() < TOLERANCE[precision] * wanted.norm()


@pytest.mark.parametrize("group", [2, 4])
@pytest.mark.parametrize("minibatch", ["stddev", "discrimination"])
@pytest.mark.parametrize("apart", [0.0, 1e-3, 0.05, 1.0])
def test_images_that_are_all_alike_are_no_overflow_in_float16(minibatch: str, apart: float, group: int) -> None:
    torch.manual_seed(0)
    config = Config(image_size=16, base_channels=8, minibatch=minibatch, minibatch_group=group)
    critic, wide = Critic(config), Critic(config).double()
    with torch.no_grad():
        for parameter in critic.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    wide.load_state_dict(critic.state_dict())
    one = torch.rand(1, 3, 16, 16) * 2 - 1
    batch = (one + apart * torch.randn(8, 3, 16, 16), one + apart * torch.randn(8, 3, 16, 16), torch.rand(8))
    _, found = gradient(critic, "fp16", batch)
    assert torch.isfinite(found).all()
    # closer, float16 rounds by as much as the images differ; of two, the deviation is |a - b|, which has a corner
    if apart == 1 and group > 2:
        real, fake, epsilon = (tensor.double() for tensor in batch)
        loss_of(wide, real, fake, epsilon, 10.0).loss.backward()
        wanted = torch.cat([p.grad.flatten() for p in wide.parameters() if p.grad is not None])
        assert (found.double() - wanted).norm() < 5e-2 * wanted.norm()


def test_the_scale_keeps_gradients_that_float16_would_lose(batch: tuple[Tensor, Tensor, Tensor]) -> None:
    weights = torch.full((3, 16, 16), 2e-8)  # below float16's smallest number

    def critic(images: Tensor) -> Tensor:
        # a float16 layer: its gradient with respect to the image passes through float16
        return ((images.half().float() * weights).sum((1, 2, 3)).half()).float()

    norm = float(weights.norm())
    plain = gradient_penalty(critic, *batch).norms
    scaled = gradient_penalty(critic, *batch, scale=torch.tensor(FIRST_SCALE)).norms
    assert (plain == 0).all()
    assert scaled.tolist() == pytest.approx([norm] * 8, rel=0.05)


TINY = Config(image_size=32, base_channels=4, latent_dim=8, faces_count=64, batch_size=8, n_critic=2, steps=4,
              log_every=3, sample_every=4, validate_every=2, validate_images=32, checkpoint_every=2)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_a_resumed_run_is_the_same_to_the_bit(tmp_path: Path, precision: str) -> None:
    from tests.training.run.test_training import assert_same_state

    config = TINY.replace(precision=precision)
    whole = runs.begin(tmp_path / "whole")
    train(whole, config, device=CPU, cache=tmp_path / "cache")
    parts = runs.begin(tmp_path / "parts")
    train(parts, config.replace(steps=2), device=CPU, cache=tmp_path / "cache")
    parts, config = runs.reopen(tmp_path / "parts", {"steps": 4})
    train(parts, config, device=CPU, cache=tmp_path / "cache", resume=True)
    name = "step-00000004.pt"
    assert_same_state(parts.checkpoints / name, whole.checkpoints / name)


def test_an_overflow_leaves_one_step_out_and_halves_the_scale() -> None:
    trainer = Trainer(TINY.replace(precision="fp16"), CPU)
    real = torch.rand(8, 3, 32, 32) * 2 - 1
    state = trainer.precision_d.state_dict()
    trainer.precision_d.load_state_dict({**state, "scale": 2.0**60})
    before = [p.detach().clone() for p in trainer.critic.parameters()]
    trainer.critic_step(real)
    assert all(torch.equal(p, old) for p, old in zip(trainer.critic.parameters(), before, strict=True))
    assert trainer.precision_d.state_dict()["scale"] == 2.0**59
    assert trainer.finite()
    assert trainer.watch.counts[0] == 0
    trainer.precision_d.load_state_dict({**state, "scale": FIRST_SCALE})
    trainer.critic_step(real)
    assert trainer.watch.counts[0] == 1
    assert not all(torch.equal(p, old) for p, old in zip(trainer.critic.parameters(), before, strict=True))


def test_a_scale_that_has_collapsed_ends_the_run() -> None:
    trainer = Trainer(TINY.replace(precision="fp16"), CPU)
    trainer.precision_g.load_state_dict({**trainer.precision_g.state_dict(), "scale": 2.0**-20})
    assert not trainer.finite()


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_weights_and_moments_stay_float32(precision: str) -> None:
    trainer = Trainer(TINY.replace(precision=precision), CPU)
    trainer.critic_step(torch.rand(8, 3, 32, 32) * 2 - 1)
    trainer.generator_step()
    kept = [*trainer.critic.parameters(), *trainer.generator.parameters(), *trainer.ema.module.parameters()]
    kept += [t for s in trainer.optimizer_d.state.values() for t in s.values()]
    assert {tensor.dtype for tensor in kept} == {torch.float32}


def test_threads_share_no_part_of_their_graphs() -> None:
    """Autocast's own cache is the whole process's: the second of two lanes would take the first one's casts."""
    layer, x, precision = nn.Linear(4, 4), torch.randn(2, 4), MixedPrecision("bf16", CPU)
    first, second = threading.Barrier(2, timeout=60), threading.Barrier(2, timeout=60)

    def nodes(output: Tensor) -> set[Any]:
        found: set[Any] = set()
        new = [output.grad_fn]
        while new:
            node = new.pop()
            if node is not None and node not in found:
                found.add(node)
                new += [other for other, _ in node.next_functions]
        return {node for node in found if "AccumulateGrad" not in node.name()}

    def lane(ahead: bool) -> Tensor:
        if not ahead:
            first.wait()
        with precision.autocast():
            output: Tensor = layer(x)
            if ahead:
                first.wait()
            second.wait()  # neither has left its context while the other computes
        return output

    with ThreadPoolExecutor(2) as pool:
        ours, theirs = pool.map(lane, (True, False))
    assert ours.dtype == torch.bfloat16
    assert len(nodes(ours)) >= 3
    assert not nodes(ours) & nodes(theirs)
