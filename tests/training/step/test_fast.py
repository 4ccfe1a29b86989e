"""Compiled and recorded steps train as the plain ones do, and where they cannot be had the run goes on without."""

import copy
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.fakes.graph import FakeRecorder
from wgan.serve.base.errors import ConfigError
from wgan.training.config import Config, from_dict, parse_overrides
from wgan.training.distributed import World
from wgan.training.networks import Critic, LiveStage
from wgan.training.networks.precision import MixedPrecision
from wgan.training.records import folder as runs
from wgan.training.records.history import read
from wgan.training.run.loop import train
from wgan.training.step import fast, losses
from wgan.training.step.fast import WARMUP, Fast, Graphs
from wgan.training.step.losses import gradient_penalty
from wgan.training.step.trainer import Trainer

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
SMALL = Config(image_size=16, base_channels=4, latent_dim=6, batch_size=8, n_critic=2, steps=20, lr_warmup=4,
               lr_schedule="cosine", augment_flip=0.5, augment_contrast=0.2, phase_images=48, cuda_graphs="auto",
               seed=0)  # fmt: skip
SHARES = (0.5, 0.25, 0.25)
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "bf16, attention, drift": {"precision": "bf16", "attention": 8, "drift": 1e-3},
    "growing, labels": {"progressive": True, "conditional": True, "precision": "bf16"},
    "lazy penalty in parts, minibatch deviation": {"penalty_every": 3, "accumulate": 2, "minibatch": "stddev"},
    "spectral norms, conditional BatchNorm, label map, growing": {
        "spectral_norm": "both", "conditional": True, "generator_labels": "batchnorm", "critic_labels": "map",
        "progressive": True},
    "minibatch discrimination, deeper": {"minibatch": "discrimination", "depth": 2},
}  # fmt: skip
EVERY = pytest.mark.parametrize(
    "changes",
    [pytest.param(c, id=n, marks=[] if n == "plain" else [pytest.mark.slow]) for n, c in VARIANTS.items()],
)


class Reals:
    """The same batches each time."""

    def __init__(self, config: Config, device: torch.device = CPU):
        self.config, self.device, self.random = config, device, torch.Generator().manual_seed(5)

    def next(self) -> tuple[Tensor, Tensor]:
        size = self.config.image_size
        images = torch.randint(0, 256, (8, size, size, 3), dtype=torch.uint8, generator=self.random)
        labels = torch.randint(0, 3, (8,), generator=self.random)
        return images.to(self.device), labels.to(self.device)


def make(config: Config, device: torch.device = CPU) -> Trainer:
    return Trainer(config, device, SHARES if config.conditional else ())


def advance(trainer: Trainer, steps: int) -> Trainer:
    reals = Reals(trainer.config, trainer.device)
    for _ in range(steps):
        trainer.iterate(reals)  # type: ignore[arg-type]
    return trainer


def weights(trainer: Trainer) -> dict[str, Tensor]:
    """All that training changes: weights, statistics, moments and sums."""
    found = {f"g.{n}": t for n, t in trainer.generator.state_dict().items()}
    found |= {f"d.{n}": t for n, t in trainer.critic.state_dict().items()}
    found |= {f"e.{n}": t for n, t in trainer.ema.module.state_dict().items() if "running" not in n}
    for name, optimizer in (("og", trainer.optimizer_g), ("od", trainer.optimizer_d)):
        for i, state in optimizer.state_dict()["state"].items():
            found |= {f"{name}.{i}.{key}": value for key, value in state.items()}
    return found | {"sums": trainer.watch.sums, "counts": trainer.watch.counts}


def recording(trainer: Trainer, recorder: FakeRecorder | None) -> Trainer:
    """The trainer as on one CUDA device, with this recorder."""
    trainer.fast.graphs = True
    trainer.replay = Graphs(trainer.fast, [trainer.optimizer_g, trainer.optimizer_d], recorder)
    trainer.enter(trainer.stage)
    return trainer


def far(found: Trainer, wanted: Trainer) -> float:
    """How far two trainers are apart, in units of how far the weights have moved and of what was watched.

    Over all weights together: Adam moves each by about its rate, whichever way rounding turns a gradient near zero.
    """
    start, ratios = make(wanted.config, wanted.device), []
    for network in ("generator", "critic"):
        a, b, begun = (
            torch.cat([p.detach().flatten() for p in getattr(trainer, network).parameters()])
            for trainer in (found, wanted, start)
        )
        ratios.append(float((a - b).norm() / (b - begun).norm()))
    assert torch.equal(found.watch.counts, wanted.watch.counts)
    return max(*ratios, float((found.watch.sums - wanted.watch.sums).norm() / wanted.watch.sums.norm()))


def tolerance(config: Config) -> float:
    return 0.2 if config.precision == "bf16" else 1e-2


# one penalty for both


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_the_penalty_that_compiles_is_the_other_to_the_bit(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    critic, mixed = Critic(SMALL.replace(attention=8)), MixedPrecision(precision, CPU)
    for parameter in critic.parameters():
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    real, fake, epsilon = torch.randn(8, 3, 16, 16), torch.randn(8, 3, 16, 16), torch.rand(8)

    def score(images: Tensor) -> Tensor:
        with mixed.autocast():
            return critic(images).float()  # type: ignore[no-any-return]

    def gradients() -> tuple[float, list[Tensor]]:
        critic.zero_grad()
        scale = mixed.scale(real)
        value = gradient_penalty(score, real, fake, epsilon, scale).value
        (value * scale).backward()
        return value.item(), [p.grad.clone() for p in critic.parameters() if p.grad is not None]

    value, wanted = gradients()
    followed: list[bool] = []
    grad = torch.func.grad
    monkeypatch.setattr(torch.func, "grad", lambda f: (followed.append(True), grad(f))[1])
    monkeypatch.setattr(losses, "is_compiling", lambda: True)
    other, found = gradients()
    assert followed
    assert other == value > 0
    assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))


@pytest.mark.parametrize("changes", [{}, {"conditional": True}, {"conditional": True, "critic_labels": "map"}])
def test_real_and_fake_in_one_pass_give_the_same_step(changes: dict[str, Any]) -> None:
    config = SMALL.replace(**changes)

    def gradients(together: bool) -> tuple[dict[str, Tensor], list[int]]:
        trainer, seen = make(config), list[int]()
        trainer.fast.together = together
        trainer.critic.register_forward_hook(lambda module, given, score: seen.append(len(given[0])))
        trainer.precision_d.update = lambda optimizer: None  # type: ignore[method-assign]
        trainer.critic_step_on(*Reals(config).next())
        return {n: p.grad for n, p in trainer.critic.named_parameters() if p.grad is not None}, seen

    found, wanted = gradients(True), gradients(False)
    for name, gradient in wanted[0].items():
        torch.testing.assert_close(found[0][name], gradient, rtol=1e-4, atol=1e-6)
    assert (found[1], wanted[1]) == ([16, 8], [8, 8, 8])  # the last is x̂


def test_images_that_see_each_other_are_scored_apart() -> None:
    def together(**changes: Any) -> bool:
        return Fast(SMALL.replace(**changes), CUDA, World()).together

    assert together()
    assert not together(minibatch="stddev")
    assert not together(minibatch="discrimination")


def test_a_run_goes_on_from_a_checkpoint_of_the_other_layout() -> None:
    def laid_out(on: bool) -> Trainer:
        trainer = make(SMALL)
        trainer.fast.channels_last = on
        for network in (trainer.generator, trainer.critic):
            trainer.fast.laid_out(network)
        return trainer

    for first, then in ((True, False), (False, True)):
        before, after = advance(laid_out(first), 2), laid_out(then)
        after.load_state_dict(copy.deepcopy(before.state_dict()))
        found, wanted = weights(after), weights(before)
        assert [name for name, value in wanted.items() if not torch.equal(found[name], value)] == []
        advance(after, 1)
        assert far(after, advance(before, 1)) < 1e-2
        weight = after.critic.down["4"].change.weight  # type: ignore[union-attr]
        assert weight.is_contiguous() != then  # type: ignore[operator]
        assert after.optimizer_d.state[weight]["exp_avg_sq"].stride() == weight.stride()  # type: ignore[index, operator]


# compiled


def compiling(monkeypatch: pytest.MonkeyPatch, backend: Any) -> None:
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))


@pytest.mark.slow
@EVERY
def test_compiled_steps_train_as_plain_ones(changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    compiling(monkeypatch, "aot_eager")
    config = SMALL.replace(**changes)
    compiled = advance(make(config.replace(compile="on")), 4)
    assert compiled.fast.told() == []
    assert compiled.fast.compile
    assert far(compiled, advance(make(config), 4)) < tolerance(config)


@pytest.mark.slow
def test_a_growing_network_is_compiled_once_for_each_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    graphs: list[torch.fx.GraphModule] = []

    def counting(graph: torch.fx.GraphModule, inputs: list[Any]) -> Callable[..., Any]:
        graphs.append(graph)
        return graph.forward

    compiling(monkeypatch, counting)
    trainer = make(SMALL.replace(progressive=True, phase_images=64, compile="on"))
    compiled = []
    for _ in range(10):
        advance(trainer, 1)
        compiled.append((trainer.stage.resolution, trainer.stage.alpha, len(graphs)))
    assert trainer.fast.told() == []
    # the fake, the critic's loss and the generator's: at 8 px, while 16 px are faded in, and at 16 px
    assert [c for c in compiled if c[0] == 8][-1][2] == 3
    assert {c[2] for c in compiled if c[0] == 16 and c[1] < 1} == {6}
    assert len({c[1] for c in compiled if c[0] == 16 and c[1] < 1}) == 4
    assert compiled[-1] == (16, 1.0, 9)


def test_what_cannot_be_compiled_is_one_line_and_a_plain_run(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = weights(advance(make(SMALL), 2))

    def refuse(*_: Any, **__: Any) -> Any:
        raise RuntimeError("no compiler\nis here")

    def at_the_call(function: Any, **_: Any) -> Any:
        return refuse

    def in_the_backward_pass(function: Any, **_: Any) -> Any:
        class Broken(torch.autograd.Function):
            @staticmethod
            def forward(ctx: Any, loss: Tensor) -> Tensor:
                return loss.clone()

            backward = staticmethod(refuse)

        def compiled(*inputs: Any) -> Any:
            found = function(*inputs)
            if isinstance(found, tuple):
                return found._replace(loss=Broken.apply(found.loss))  # type: ignore[attr-defined]
            return found

        return compiled

    for broken in (refuse, at_the_call, in_the_backward_pass):
        monkeypatch.setattr(fast.torch, "compile", broken)
        trainer = advance(make(SMALL.replace(compile="on")), 2)
        (line,) = trainer.fast.told()
        assert line == "not compiled, going on without (compile=off: without this line): no compiler is here"
        assert all(torch.equal(value, wanted[name]) for name, value in weights(trainer).items())


def test_an_error_of_the_step_itself_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = make(SMALL.replace(compile="on"))
    monkeypatch.setattr(fast.torch, "compile", lambda function, **_: function)
    trainer.critic.score = nn.Linear(1, 1)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        advance(trainer, 1)


def test_the_line_is_shown_and_kept_with_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise RuntimeError("no compiler is here")

    monkeypatch.setattr(fast.torch, "compile", refuse)
    config = SMALL.replace(faces_count=64, steps=2, validate_images=16, compile="on", lr_warmup=0)
    folder = runs.begin(tmp_path / "run")
    assert train(folder, config, device=CPU, cache=tmp_path / "cache").step == 2
    (event,) = (r for r in read(folder.metrics) if r["kind"] == "event")
    assert event["message"].endswith("no compiler is here")
    assert capsys.readouterr().err.count(event["message"]) == 1


def test_activation_checkpointing_is_not_compiled_and_says_so() -> None:
    made = Fast(SMALL.replace(compile="on", activation_checkpointing=True), CPU, World())
    assert not made.compile
    assert [line.split(":")[0] for line in made.told()] == ["not compiled"]


def test_the_words_on_and_off_are_not_yaml_truths() -> None:
    for word in ("on", "off", "auto"):
        config = from_dict(parse_overrides([f"compile={word}"]))
        assert config.compile == word
        assert from_dict(__import__("yaml").safe_load(config.to_yaml())) == config
    with pytest.raises(ConfigError, match="cuda_graphs=on is not one of auto, off"):
        from_dict(parse_overrides(["cuda_graphs=on"]))


def test_what_is_on_by_itself() -> None:
    class Two(World):
        size = 2

    def on(device: torch.device, world: World | None = None, **changes: Any) -> tuple[bool, bool, bool]:
        made = Fast(SMALL.replace(**changes), device, world or World())
        return made.compile, made.graphs, made.channels_last

    assert (Config().compile, Config().cuda_graphs) == ("auto", "auto")
    assert on(CPU) == (False, False, False)
    assert on(CPU, compile="on") == (True, False, False)
    assert on(CUDA) == (True, True, True)
    assert on(CUDA, compile="off") == (False, True, False)
    assert on(CUDA, cuda_graphs="off") == (True, False, True)
    assert on(CUDA, precision="fp16") == (True, True, True)
    assert on(CUDA, Two()) == (True, False, True)
    assert Fast(SMALL, CUDA, World()).compile_generator
    assert not Fast(SMALL, CUDA, Two()).compile_generator


@pytest.fixture
def kernels() -> Iterator[Callable[[], tuple[bool, ...]]]:
    """How CUDA's kernels are chosen, put back afterwards."""
    cudnn, products = torch.backends.cudnn, torch.backends.cuda.matmul

    def found() -> tuple[bool, ...]:
        return cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32, products.allow_tf32

    before = found()
    yield found
    cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32, products.allow_tf32 = before


def test_float32_is_exact_and_convolutions_are_fastest_unless_asked_otherwise(
    kernels: Callable[[], tuple[bool, ...]],
) -> None:
    before = kernels()
    made = Fast(SMALL.replace(tf32=True), CPU, World())
    assert [line.split(":")[0] for line in made.told()] == ["tf32=true changes nothing here"]
    assert kernels() == before
    for changes, wanted in (
        ({}, (True, False, False, False)),
        ({"tf32": True}, (True, False, True, True)),
        ({"convolutions": "repeatable"}, (False, True, False, False)),
    ):
        assert Fast(SMALL.replace(**changes), CUDA, World()).told() == []
        assert kernels() == wanted
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):  # as around Inception
            pass
        assert kernels() == wanted


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.torch.jit")  # torch 2.11's own compiler
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_real_compiler_trains_as_plain_steps(precision: str) -> None:
    config = SMALL.replace(precision=precision, image_size=8)  # a C++ compiler's run for each kernel: few are enough
    compiled = advance(make(config.replace(compile="on")), 3)
    assert compiled.fast.told() == []
    assert far(compiled, advance(make(config), 3)) < tolerance(config)


# recorded


@EVERY
def test_recorded_steps_train_as_plain_ones_to_the_bit(changes: dict[str, Any]) -> None:
    config = SMALL.replace(**changes)
    plain = advance(recording(make(config), None), 12)
    trainer = make(config)
    recorder = FakeRecorder(trainer.random)
    advance(recording(trainer, recorder), 12)
    assert trainer.fast.told() == []
    assert recorder.replayed > recorder.recorded > 1
    found, wanted = weights(trainer), weights(plain)
    assert [name for name, value in wanted.items() if not torch.equal(found[name], value)] == []
    assert torch.equal(trainer.random.get_state(), plain.random.get_state())
    assert trainer.watch.drain() == plain.watch.drain()


@pytest.mark.slow
def test_float16_steps_that_overflow_are_left_out_of_a_recording_as_of_a_plain_run() -> None:
    config = SMALL.replace(precision="fp16", base_channels=2)

    def scaled(recorder: Callable[[Trainer], FakeRecorder | None]) -> tuple[Trainer, FakeRecorder | None]:
        trainer = make(config)
        for mixed in (trainer.precision_g, trainer.precision_d):
            mixed.load_state_dict(mixed.state_dict() | {"scale": 2.0**22})  # by far too much: halved at each overflow
        found = recorder(trainer)
        return advance(recording(trainer, found), 12), found

    plain, _ = scaled(lambda trainer: None)
    trainer, recorder = scaled(lambda trainer: FakeRecorder(trainer.random))
    assert recorder is not None
    assert trainer.fast.told() == []
    assert recorder.recorded == 2
    taken = {int(state["step"]) for state in trainer.optimizer_d.state.values()}
    assert WARMUP < min(taken) <= max(taken) < 24 - WARMUP  # replays left some out, and took others
    found, wanted = weights(trainer), weights(plain)
    assert [name for name, value in wanted.items() if not torch.equal(found[name], value)] == []
    assert trainer.precision_d.state_dict() == plain.precision_d.state_dict()
    assert trainer.precision_g.state_dict() == plain.precision_g.state_dict()


def test_a_float16_step_that_cannot_be_recorded_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    config = SMALL.replace(precision="fp16", base_channels=2)
    plain, trainer = advance(recording(make(config), None), 3), make(config)
    recorder = FakeRecorder(trainer.random)
    record = recorder.record

    def broken(step: Callable[[], None]) -> Callable[[], None]:
        def refuse(self: Any) -> None:
            raise RuntimeError("cannot be recorded")

        with monkeypatch.context() as patched:
            patched.setattr(torch.amp.GradScaler, "update", refuse)
            return record(step)

    recorder.record = broken  # type: ignore[method-assign]
    advance(recording(trainer, recorder), 3)
    assert [line.split(":")[-1] for line in trainer.fast.told()] == [" cannot be recorded"]
    found, wanted = weights(trainer), weights(plain)
    assert [name for name, value in wanted.items() if not torch.equal(found[name], value)] == []


def test_each_kind_of_step_is_recorded_once_after_its_warm_up() -> None:
    trainer = make(SMALL.replace(penalty_every=2))
    recorder = FakeRecorder(trainer.random)
    advance(recording(trainer, recorder), WARMUP)
    assert (recorder.recorded, recorder.replayed) == (0, 0)
    advance(trainer, 3)
    assert recorder.recorded == 3  # the critic's with and without a penalty, the generator's
    assert (recorder.aside_calls, recorder.replayed) == (3 * WARMUP, 3 * 3)
    trainer.load_state_dict(trainer.state_dict())  # other moments: what was recorded moves weights with the old ones
    advance(trainer, WARMUP)
    assert recorder.recorded == 3
    advance(trainer, 1)
    assert recorder.recorded == 6


def test_recordings_end_with_their_stage() -> None:
    trainer = make(SMALL.replace(progressive=True, phase_images=64, n_critic=1))
    recorder = FakeRecorder(trainer.random)
    advance(recording(trainer, recorder), 8)
    assert (trainer.stage.resolution, recorder.recorded) == (8, 2)
    advance(trainer, 8)
    assert (trainer.stage.resolution, trainer.stage.fading, recorder.recorded) == (16, True, 4)
    advance(trainer, 8)
    assert (trainer.stage.resolution, trainer.stage.fading, recorder.recorded) == (16, False, 6)
    assert isinstance(trainer.critic.stage, LiveStage)
    assert trainer.ema.module.stage == trainer.stage


def test_a_step_that_cannot_be_recorded_is_one_line_and_a_plain_run(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = advance(recording(make(SMALL), None), 6)
    trainer = make(SMALL)
    add = trainer.watch.add
    monkeypatch.setattr(trainer.watch, "add", lambda **values: (next(iter(values.values())).item(), add(**values)))
    recorder = FakeRecorder(trainer.random)
    advance(recording(trainer, recorder), 6)
    (line,) = trainer.fast.told()
    assert line.startswith("no CUDA graphs, going on without (cuda_graphs=off: without this line): operation not perm")
    assert "\n" not in line
    assert recorder.recorded == 0
    found = weights(trainer)
    assert [n for n, value in weights(plain).items() if not torch.allclose(found[n], value, rtol=1e-5, atol=1e-7)] == []


# on a GPU


@pytest.mark.gpu
@pytest.mark.parametrize("changes", [*VARIANTS.values(), {"precision": "fp16"}], ids=[*VARIANTS, "fp16"])
def test_on_a_gpu_recorded_steps_train_as_plain_ones(changes: dict[str, Any]) -> None:
    config = SMALL.replace(compile="off", **changes)
    plain = advance(make(config.replace(cuda_graphs="off"), CUDA), 12)
    recorded = advance(make(config, CUDA), 12)
    assert recorded.fast.told() == []
    assert recorded.fast.graphs
    assert torch.equal(recorded.random.get_state(), plain.random.get_state())
    assert far(recorded, plain) < tolerance(config)


@pytest.mark.gpu
def test_on_a_gpu_a_broken_recording_leaves_everything_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    config = SMALL.replace(compile="off")
    plain = advance(make(config.replace(cuda_graphs="off"), CUDA), 6)
    trainer = make(config, CUDA)
    add = trainer.watch.add
    monkeypatch.setattr(trainer.watch, "add", lambda **values: (next(iter(values.values())).item(), add(**values)))
    advance(trainer, 6)
    (line,) = trainer.fast.told()
    assert line.startswith("no CUDA graphs, going on without")
    assert torch.cuda.current_stream() == torch.cuda.default_stream()
    assert trainer.replay._recorder is not None
    with pytest.raises(RuntimeError, match="not currently recording"):
        torch._C._cuda_endAllocateToPool(torch.cuda.current_device(), trainer.replay._recorder._pool)
    assert torch.equal(trainer.random.get_state(), plain.random.get_state())
    assert far(trainer, plain) < tolerance(config)


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of compilers
@EVERY
def test_on_a_gpu_compiled_and_recorded_steps_train_as_plain_ones(changes: dict[str, Any]) -> None:
    config = SMALL.replace(**changes)
    plain = advance(make(config.replace(compile="off", cuda_graphs="off"), CUDA), 8)
    trainer = advance(make(config, CUDA), 8)
    assert trainer.fast.told() == []
    assert trainer.fast.compile
    assert trainer.fast.graphs
    assert far(trainer, plain) < tolerance(config)


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_on_a_gpu_no_step_waits_for_it(precision: str) -> None:
    config = SMALL.replace(
        precision=precision, compile="off", cuda_graphs="off", conditional=True, progressive=True, drift=1e-3
    )
    trainer, reals = make(config, CUDA), Reals(config)
    batches = [tuple(t.to(CUDA) for t in reals.next()) for _ in range(8)]
    reals.next = lambda: batches.pop()  # type: ignore[assignment, method-assign, return-value]
    trainer.iterate(reals)  # type: ignore[arg-type]
    torch.cuda.set_sync_debug_mode("error")
    try:
        trainer.iterate(reals)  # type: ignore[arg-type]
    finally:
        torch.cuda.set_sync_debug_mode("default")
