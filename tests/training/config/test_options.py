"""Each option of training does what it says: memory, stability, labels, and weights to start from."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from wgan.serve.base.errors import CheckpointError, ConfigError, DatasetError
from wgan.training.config import Config
from wgan.training.data.labels import labels_at, shares_of
from wgan.training.data.of_run import open_data
from wgan.training.networks import Critic, Generator, Stage
from wgan.training.networks.layers import (
    ConditionalBatchNorm,
    MinibatchDeviation,
    MinibatchDiscrimination,
    SelfAttention,
    Weighted,
)
from wgan.training.records import checkpoint
from wgan.training.records import folder as runs
from wgan.training.run.loop import train
from wgan.training.step.trainer import Trainer

CPU = torch.device("cpu")
SMALL = Config(image_size=16, base_channels=4, latent_dim=6, batch_size=8, n_critic=2)
SHARES = (0.5, 0.25, 0.25)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def images(count: int = 8, size: int = 16) -> Tensor:
    return torch.rand(count, 3, size, size) * 2 - 1


def stirred(module: nn.Module) -> Any:
    """Every weight away from where it starts, so that nothing is hidden by a zero."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return module


def critic_gradients(config: Config, shares: tuple[float, ...] = ()) -> tuple[dict[str, Tensor], dict[str, float]]:
    """Of one critic step from the seed's weights, and what was watched."""
    trainer = Trainer(config, CPU, shares)
    torch.manual_seed(1)
    stirred(trainer.critic)
    trainer.precision_d.update = lambda optimizer: None  # type: ignore[method-assign]
    torch.manual_seed(2)
    trainer.critic_step(images(), torch.arange(8) % 3 if shares else None)
    return {n: p.grad for n, p in trainer.critic.named_parameters() if p.grad is not None}, trainer.watch.drain()


def assert_same(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-5, msg=name)


# memory


@pytest.mark.parametrize("changes", [{}, {"minibatch": "stddev"}, {"minibatch": "discrimination"}, {"attention": 8}])
def test_a_batch_in_parts_gives_the_critic_the_gradients_of_the_whole(changes: dict[str, Any]) -> None:
    config = SMALL.replace(**changes)
    whole, means = critic_gradients(config)
    parts, means_of_parts = critic_gradients(config.replace(accumulate=2))
    assert_same(parts, whole)
    assert means_of_parts == pytest.approx(means, rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, {"attention": 8, "depth": 2, "spectral_norm": "both"}, {"progressive": True}])
def test_recomputed_activations_give_the_same_gradients(changes: dict[str, Any]) -> None:
    def both(config: Config) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        trainer = Trainer(config, CPU)
        trainer.enter(Stage(16, 0.5 if config.progressive else 1.0))
        torch.manual_seed(1)
        stirred(trainer.critic)
        trainer.precision_d.update = trainer.precision_g.update = lambda optimizer: None  # type: ignore[method-assign]
        trainer.critic_step(images())
        critic = {n: p.grad.clone() for n, p in trainer.critic.named_parameters() if p.grad is not None}
        trainer.generator_step()
        return critic, {n: p.grad for n, p in trainer.generator.named_parameters() if p.grad is not None}

    config = SMALL.replace(**changes)
    for kept, recomputed in zip(both(config), both(config.replace(activation_checkpointing=True)), strict=True):
        assert_same(recomputed, kept)


def test_recomputed_activations_are_not_kept() -> None:
    def kept(forget: bool) -> int:
        critic = Critic(SMALL.replace(activation_checkpointing=forget, depth=3))
        sizes: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t: (sizes.append(t.nbytes), t)[1], lambda t: t):
            critic(images().requires_grad_(True))
        return sum(sizes)

    assert kept(True) <= kept(False) / 3


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"accumulate": 3}, "batch_size=8 cannot be cut into equal parts, accumulate=3: choose a multiple"),
        ({"accumulate": 4, "minibatch": "stddev"}, "minibatch_group=4 does not divide the 2 images"),
        ({"attention": 16}, "attention=16: the features of 16 px images are at most 8 wide"),
        ({"progressive": True, "image_size": 8}, "progressive: image_size=8 leaves nothing to grow to"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(values: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        SMALL.replace(**values)


# stability


def test_a_lazy_penalty_comes_every_few_steps_and_weighs_as_much() -> None:
    trainer = Trainer(SMALL.replace(penalty_every=3), CPU)
    counted, gradients = [], []
    trainer.precision_d.update = lambda optimizer: None  # type: ignore[method-assign]
    for step in range(4):
        trainer.images = 8 * step
        trainer.critic.zero_grad()
        trainer.critic_step(images())
        counted.append(int(trainer.watch.counts[1]))
        gradients.append(trainer.critic.heads["16"][0].weight.grad.norm().item())  # type: ignore[index, union-attr]
    assert counted == [1, 1, 1, 2]
    assert trainer.watch.counts[0] == 4
    plain, _ = critic_gradients(SMALL.replace(lambda_gp=30.0))
    lazy, means = critic_gradients(SMALL.replace(penalty_every=3))
    assert_same(lazy, plain)
    assert "penalty" in means


def test_drift_pulls_real_scores_to_zero() -> None:
    plain, before = critic_gradients(SMALL)
    drifting, after = critic_gradients(SMALL.replace(drift=2.0))
    trainer = Trainer(SMALL, CPU)
    torch.manual_seed(1)
    stirred(trainer.critic)
    torch.manual_seed(2)
    scores = trainer.critic(images())
    (2 * scores.square().mean()).backward()
    torch.testing.assert_close(drifting["score.weight"] - plain["score.weight"], trainer.critic.score.weight.grad)
    assert after["critic_loss"] - before["critic_loss"] == pytest.approx(2 * scores.square().mean().item(), rel=1e-3)


@pytest.mark.parametrize("which", ["critic", "both"])
def test_spectral_norms_bring_every_weight_to_norm_one_and_move_once_a_step(which: str) -> None:
    trainer = Trainer(SMALL.replace(spectral_norm=which, batch_size=8, lr_d=1e-3), CPU)
    stirred(trainer.critic)
    trainer.critic.iterate_spectral_norms(100)
    layers = [m for m in trainer.critic.modules() if isinstance(m, Weighted)]
    for layer in layers:
        assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() == pytest.approx(1, rel=1e-3)
    weight = layers[0].weight.clone()
    trainer.critic.train()
    trainer.critic(images())
    assert torch.equal(layers[0].weight, weight)  # a look does not move it
    trainer.critic_step(images())
    norm = torch.linalg.matrix_norm(layers[0].weight.flatten(1), 2).item()
    assert norm == pytest.approx(1, rel=0.05)
    normed = [name for name, _ in trainer.generator.named_parameters() if "parametrizations" in name]
    assert bool(normed) == (which == "both")


def test_the_minibatch_deviation_is_that_of_each_group() -> None:
    x = torch.randn(6, 5, 4, 4)
    found = MinibatchDeviation(3)(x)
    assert found.shape == (6, 6, 4, 4)
    for first in (0, 3):
        wanted = x[first : first + 3].std(0, correction=0).mean()
        torch.testing.assert_close(found[first : first + 3, 5], wanted.expand(3, 4, 4), rtol=1e-4, atol=1e-5)
    assert MinibatchDeviation(2)(torch.ones(2, 1, 4, 4))[:, 1].max() < 1e-3


def test_minibatch_discrimination_measures_how_near_the_others_are() -> None:
    layer = MinibatchDiscrimination(features=5, group=3)
    x = 0.1 * torch.randn(6, 5)
    found = layer(x)
    m = layer.change(x).reshape(6, layer.kernels, layer.kernel_size)
    for i in range(6):
        group = [j for j in range(6) if j // 3 == i // 3 and j != i]
        wanted = sum(torch.exp(-(m[i] - m[j]).abs().sum(1)) for j in group)
        torch.testing.assert_close(found[i, 5:], wanted)
    assert torch.allclose(layer(torch.ones(3, 5))[:, 5:], torch.tensor(2.0))  # three of a kind


def test_attention_is_sagans_equation() -> None:
    layer = stirred(SelfAttention(16, 3))
    x = torch.randn(2, 16, 3, 3)
    found = layer(x)
    weights = {name: getattr(layer, name).weight.flatten(1) for name in ("key", "query", "value", "out")}
    for n in range(2):
        flat = x[n].flatten(1)  # (C, 9)
        f, g, h = (weights[name] @ flat for name in ("key", "query", "value"))
        o = torch.zeros(16, 9)
        for j in range(9):  # to j, from all i
            beta = torch.softmax(torch.stack([f[:, i] @ g[:, j] for i in range(9)]), 0)
            o[:, j] = weights["out"] @ sum(beta[i] * h[:, i] for i in range(9))
        torch.testing.assert_close(found[n].flatten(1), flat + layer.gamma * o, rtol=1e-4, atol=1e-5)
    assert torch.equal(SelfAttention(16, 3)(x), x)  # it starts as nothing


def test_depth_and_attention_are_where_they_were_asked_for() -> None:
    config = Config(depth=3, attention=32)
    generator, critic = Generator(config), Critic(config)
    for network in (generator, critic):
        threes = [m for m in network.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]
        assert len(threes) == 4 * 2
    seen: list[tuple[int, ...]] = []
    for network, given in ((generator, torch.randn(2, 128)), (critic, images(2, 64))):
        (layer,) = (m for m in network.modules() if isinstance(m, SelfAttention))
        layer.register_forward_hook(lambda m, _, out: seen.append(tuple(out.shape[1:])))
        network(given)
    assert seen == [(64, 32, 32), (64, 32, 32)]


# labels


def test_a_conditional_batch_norm_scales_and_shifts_by_label() -> None:
    layer = stirred(ConditionalBatchNorm(nn.BatchNorm2d(4, affine=False), 4, classes=3))
    x, label = torch.randn(6, 4, 5, 5), torch.tensor([0, 1, 2, 0, 1, 2])
    found = layer(x, label)
    normed = (x - x.mean((0, 2, 3), keepdim=True)) / (x.var((0, 2, 3), correction=0, keepdim=True) + 1e-5).sqrt()
    for n in range(6):
        scale, shift = layer.scale.weight[label[n]], layer.shift.weight[label[n]]
        wanted = normed[n] * scale[:, None, None] + shift[:, None, None]
        torch.testing.assert_close(found[n], wanted, rtol=1e-4, atol=1e-5)


def test_the_projection_critic_adds_the_labels_embedding_times_the_features() -> None:
    critic = stirred(Critic(SMALL, classes=3))
    x, label = images(), torch.arange(8) % 3
    features: list[Tensor] = []
    critic.pool.register_forward_hook(lambda m, _, out: features.append(out))
    found = critic(x, label)
    assert critic.projection is not None
    plain = critic.score(features[0]).squeeze(1)
    wanted = plain + torch.stack([critic.projection.weight[k] @ f for k, f in zip(label, features[0], strict=True)])
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("changes", [{}, {"critic_labels": "map", "generator_labels": "batchnorm"}])
def test_the_label_reaches_both_networks_and_the_penalty_is_of_the_image_alone(changes: dict[str, Any]) -> None:
    config = SMALL.replace(conditional=True, **changes)
    critic, generator = stirred(Critic(config, 3)), stirred(Generator(config, 3)).eval()
    x, z = images(2), torch.randn(2, 6)
    for network, given in ((critic, x), (generator, z)):
        first, second = (network(given, torch.full((2,), label)) for label in (0, 1))
        assert not torch.allclose(first, second, atol=1e-4)
    found, _ = critic_gradients(config, SHARES)
    assert any(name.startswith(("map", "projection")) for name in found)


def test_fakes_carry_the_labels_of_the_real_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    class Reals:
        def __init__(self) -> None:
            self.given: list[Tensor] = []

        def next(self) -> tuple[Tensor, Tensor]:
            self.given.append(torch.randint(0, 3, (8,)))
            return torch.zeros(8, 16, 16, 3, dtype=torch.uint8), self.given[-1]

    trainer, reals = Trainer(SMALL.replace(conditional=True), CPU, SHARES), Reals()
    drawn: list[Tensor] = []
    trainer.generator.register_forward_pre_hook(lambda module, given: drawn.append(given[1]))
    scored: list[Tensor] = []
    score = trainer.score
    monkeypatch.setattr(trainer, "score", lambda x, label: (scored.append(label), score(x, label))[1])
    trainer.iterate(reals)  # type: ignore[arg-type]
    wanted = [*reals.given, reals.given[-1]]  # two critic steps, then the generator
    assert all(torch.equal(a, b) for a, b in zip(drawn, wanted, strict=True))
    assert [label.tolist() for label in scored] == [
        label.tolist() for label, times in zip(wanted, (3, 3, 1), strict=True) for _ in range(times)
    ]


def test_labels_that_nobody_asked_for_are_shared_out_as_in_the_data() -> None:
    shares = shares_of(np.array([0, 0, 0, 1, 2, 2]), 3)
    assert shares == (0.5, 1 / 6, 2 / 6)
    for first in (0, 2**40):
        found = labels_at(np.arange(first, first + 600), shares)
        assert np.abs(np.bincount(found) - np.array([300, 100, 200])).max() <= 6
        assert np.abs(np.bincount(found[:60], minlength=3) - np.array([30, 10, 20])).max() <= 4


def test_images_without_classes_cannot_train_with_labels(tmp_path: Path) -> None:
    from PIL import Image

    for i in range(8):
        Image.new("RGB", (16, 16), (i, 0, 0)).save(tmp_path / f"{i}.png")
    with pytest.raises(DatasetError, match="has no classes: put every image into one of two or more folders"):
        open_data(SMALL.replace(conditional=True, data=str(tmp_path)), tmp_path / "cache")


# weights to start from


TINY = SMALL.replace(faces_count=64, steps=2, validate_images=16)


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = runs.begin(tmp_path_factory.mktemp("runs") / "earlier")
    train(folder, TINY, device=CPU, cache=folder.path.parent / "cache")
    return folder.path


@pytest.mark.slow
def test_a_run_can_start_from_anothers_critic_and_generator(earlier: Path, tmp_path: Path) -> None:
    state = checkpoint.load(checkpoint.find(earlier, "best", print))
    config = TINY.replace(init_critic=str(earlier), seed=5)
    folder = runs.begin(tmp_path / "critic")
    train(folder, config, device=CPU, cache=earlier.parent / "cache")
    begun = checkpoint.load(folder.checkpoints / "step-00000000.pt")
    assert all(torch.equal(begun["critic"][name], value) for name, value in state["critic"].items())
    assert not torch.equal(begun["generator"]["heads.16.0.weight"], state["generator"]["heads.16.0.weight"])

    folder = runs.begin(tmp_path / "generator")
    train(folder, config.replace(init_critic="none", init_generator=str(checkpoint.find(earlier, "best", print))),
          device=CPU, cache=earlier.parent / "cache")  # fmt: skip
    begun = checkpoint.load(folder.checkpoints / "step-00000000.pt")
    names = [name for name in state["ema"] if "running" not in name and "num_batches" not in name]
    for network in ("generator", "ema"):
        assert all(torch.equal(begun[network][name], state["ema"][name]) for name in names)
    assert not torch.equal(begun["critic"]["score.weight"], state["critic"]["score.weight"])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"init_critic": "nowhere.pt"}, "no checkpoint nowhere.pt"),
        ({"init_generator": "nowhere.pt"}, "no checkpoint nowhere.pt"),
        (
            {"init_critic": "EARLIER", "base_channels": 8},
            "init_critic: the network in .* is another one: .* in this run: take its settings",
        ),
        ({"init_critic": "ALONE"}, "init_critic: .*generator.pt holds no critic"),
    ],
)
def test_weights_that_do_not_fit_are_refused(earlier: Path, tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    from wgan.export.reference.generator import load_generator, save_generator

    save_generator(tmp_path / "generator.pt", load_generator(checkpoint.find(earlier, "best", print)))
    places = {"EARLIER": str(earlier), "ALONE": str(tmp_path / "generator.pt")}
    config = TINY.replace(**{name: places.get(str(value), value) for name, value in changes.items()})
    with pytest.raises(CheckpointError, match=says):
        train(runs.begin(tmp_path / "run"), config, device=CPU, cache=earlier.parent / "cache")
