"""What is faster is taken and said: by the rates that were measured, once for a run, and on the command line."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.run.test_training import TINY, assert_same_state
from wgan.cli import main
from wgan.export import exporter, parity
from wgan.export.reference import reduced
from wgan.export.reference.generator import TrainedGenerator, save_generator
from wgan.serve.base.errors import BackendUnavailable, ConfigError
from wgan.serve.bench import precision as precision_speed
from wgan.serve.bench.precision import Speeds, hopeless, least_seconds, product_speeds
from wgan.training.config import Config, load
from wgan.training.distributed import World
from wgan.training.records import checkpoint
from wgan.training.records import folder as runs
from wgan.training.records.history import read
from wgan.training.run import auto_precision
from wgan.training.run.loop import train
from wgan.training.step.trainer import Trainer

CPU = torch.device("cpu")
FAST = Speeds("cpu", {"fp32": 1.7, "bf16": 1.0})
SLOW = Speeds("cpu", {"fp32": 1.0, "bf16": 2.0})


@pytest.mark.parametrize(
    ("bf16", "choice", "line"),
    [
        (1 / 1.7, "bf16", "precision=auto: bf16, 1.7 times the speed of fp32 here"),
        (1 / 1.25, "bf16", "precision=auto: bf16, 1.2 times the speed of fp32 here"),
        (1 / 1.15, "fp32", "precision=auto: fp32, as bf16 has 1.15 times its speed here (1.2 are asked for)"),
        (2.0, "fp32", "precision=auto: fp32, as bf16 has 0.5 times its speed here"),
        (300.0, "fp32", "precision=auto: fp32, as bf16 has 0.003 times its speed here"),
    ],
)
def test_the_faster_is_taken_where_it_is_worth_its_errors(bf16: float, choice: str, line: str) -> None:
    found = Speeds("cpu", {"fp32": 1.0, "bf16": bf16})
    assert found.choice == choice
    assert found.line("precision=auto") == line


def test_of_two_shorter_types_the_faster_one_counts() -> None:
    assert Speeds("cuda", {"fp32": 9.0, "bf16": 3.0, "fp16": 2.0}).choice == "fp16"


def test_each_round_times_all_and_the_least_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    now, called = 0.0, []
    takes = {"fp32": iter([9, 3, 2, 5]), "bf16": iter([9, 4, 4, 1])}

    def work(name: str) -> Any:
        def run() -> None:
            nonlocal now
            called.append(name)
            now += next(takes[name])

        return run

    # processor time on a CPU, where other programs may have the cores for any time
    monkeypatch.setattr(precision_speed.time, "process_time", lambda: now)
    works = {name: work(name) for name in takes}
    assert least_seconds("cpu", works, rounds=3, budget=100) == {"fp32": 2, "bf16": 1}
    assert called == ["fp32", "bf16", "bf16", "fp32", "fp32", "bf16", "bf16", "fp32"]


def test_rounds_end_with_the_budget_but_are_two(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def work() -> None:
        nonlocal now
        now += 1

    monkeypatch.setattr(precision_speed.time, "perf_counter", lambda: now)
    assert least_seconds("cuda", {"fp32": work}, rounds=9, budget=0.5) == {"fp32": 1}
    assert now == 1 + 2


def test_a_product_in_a_type_that_is_emulated_stays_small(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def timed(device: str, works: dict[str, Any], *_: Any) -> dict[str, float]:
        size = sizes[-1]
        return {"fp32": size**3 / 1e12, "bf16": size**3 / 1e8}

    monkeypatch.setattr(precision_speed, "torch_product", lambda device, precision, size: sizes.append(size))
    monkeypatch.setattr(precision_speed, "least_seconds", timed)
    found = product_speeds("cpu")
    assert max(sizes) == precision_speed.SMALLEST
    assert found.times("bf16") == pytest.approx(1e-4)
    assert hopeless("cpu") is not None
    assert hopeless("cuda") is None  # never asked


def test_products_leave_the_random_numbers_and_threads_of_the_caller_alone() -> None:
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    assert product_speeds("cpu").seconds.keys() == {"fp32", "bf16"}
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads


OPTIONS: list[dict[str, Any]] = [
    {},
    {"conditional": True, "minibatch": "stddev", "progressive": True, "penalty_every": 4, "accumulate": 2},
]


@pytest.mark.parametrize("changes", OPTIONS)
def test_steps_of_every_kind_are_timed(changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auto_precision, "hopeless", lambda *_: None)
    config = TINY.replace(image_size=16, batch_size=32, phase_images=32, precision="auto", **changes)
    found = auto_precision.step_speeds(config, CPU)
    assert found.seconds.keys() == {"fp32", "bf16"}
    assert min(found.seconds.values()) > 0


@pytest.mark.parametrize("graphs", ["auto", "off"])
def test_on_a_gpu_steps_are_timed_as_they_are_launched(graphs: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unrecorded, a small step takes the CPU's time, in which bfloat16 is no faster."""
    made: list[Config] = []
    monkeypatch.setattr(auto_precision, "TrialStep", lambda config, device: made.append(config) or (lambda: None))
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    auto_precision.step_speeds(Config().replace(cuda_graphs=graphs), torch.device("cuda"))
    assert [config.precision for config in made] == ["fp32", "bf16"]
    assert {(config.cuda_graphs, config.compile) for config in made} == {(graphs, "off")}


def test_a_type_that_is_emulated_is_not_trained_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auto_precision, "hopeless", lambda *_: SLOW)
    monkeypatch.setattr(auto_precision, "TrialStep", lambda *_: pytest.fail("a step was made"))
    assert auto_precision.step_speeds(TINY.replace(precision="auto"), CPU) is SLOW


def test_no_trainer_is_made_before_it_is_settled() -> None:
    with pytest.raises(AssertionError, match="settled"):
        Trainer(TINY.replace(precision="auto"), CPU)


@pytest.mark.slow
def test_a_run_keeps_what_it_chose_and_is_the_run_of_that_precision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[int] = []

    def timed(config: Config, device: torch.device, processes: int) -> Speeds:
        asked.append(processes)
        return FAST

    monkeypatch.setattr(auto_precision, "step_speeds", timed)
    line = "precision=auto: bf16, 1.7 times the speed of fp32 here"
    wanted = TINY.replace(
        image_size=16, steps=2, validate_images=16, validate_every=100, sample_every=100, precision="bf16"
    )
    words = [f"{name}={value}" for name, value in (wanted.to_dict() | {"precision": "auto"}).items()]
    assert main(["train", "--run", str(tmp_path / "auto"), "--device", "cpu", *words]) == 0
    assert line in capsys.readouterr().err.splitlines()
    cache = tmp_path / ".cache"
    assert train(runs.begin(tmp_path / "bf16"), wanted, device=CPU, cache=cache).step == 2
    run = runs.RunFolder(tmp_path / "auto")
    last = "checkpoints/step-00000002.pt"
    assert run.read_config() == wanted
    assert checkpoint.load(run.path / last)["config"]["precision"] == "bf16"
    assert_same_state(run.path / last, tmp_path / "bf16" / last)
    assert [r["step"] for r in read(run.metrics) if r.get("message") == line] == [0]

    # gone on with, in whatever words, it is not timed again
    for steps, again in ((3, {}), (4, {"precision": "auto"})):
        folder, longer = runs.reopen(run.path, {"steps": steps, **again})
        assert train(folder, longer, device=CPU, cache=cache, resume=True).step == steps
        assert run.read_config().precision == "bf16"
    assert asked == [1]
    kept = "precision=auto: bf16, as this run has it"
    assert [r["step"] for r in read(run.metrics) if r.get("message") == kept] == [3]


def test_a_run_that_torchrun_starts_again_is_found(tmp_path: Path) -> None:
    run = runs.begin(tmp_path / "a")
    run.create(TINY.replace(precision="bf16"))
    assert runs.find_same(tmp_path, TINY.replace(precision="auto")) == run.path
    assert runs.find_same(tmp_path, TINY.replace(precision="fp16")) is None
    assert runs.find_same(tmp_path, TINY.replace(precision="auto", seed=1)) is None


def test_the_first_process_chooses_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    class Second(World):
        rank, size = 1, 2

        def same(self, make: Any) -> Any:
            return FAST  # what the first process sent

    monkeypatch.setattr(auto_precision, "step_speeds", lambda *_: pytest.fail("timed in the second process"))
    auto = TINY.replace(precision="auto")
    assert auto_precision.settle(auto, CPU, None, Second())[0].precision == "bf16"
    with pytest.raises(ConfigError, match="batch_size=9 cannot be cut into equal parts, 2 processes of 1"):
        auto_precision.settle(auto.replace(batch_size=9), CPU, None, Second())


@pytest.mark.slow
def test_the_cost_of_a_run_is_that_of_what_it_would_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("wgan.training.run.estimate.step_speeds", lambda *_: FAST)
    monkeypatch.setattr("wgan.training.run.estimate.torch_peak", lambda *_: 1e11)

    def planned(*words: str) -> dict[str, Any]:
        of = [] if "--resume" in words else ["--config", "wgan-gp-64"]
        assert main(["train", "--dry-run", "--json", "--device", "cpu", *of, "batch_size=8", *words]) == 0
        plan: dict[str, Any] = json.loads(capsys.readouterr().out)
        return plan

    exact, auto, asked = planned(), planned("precision=auto"), planned("precision=bf16")
    assert auto["config"]["precision"] == asked["config"]["precision"] == "bf16"
    assert exact["seconds"] / auto["seconds"] == pytest.approx(1.7)
    assert asked["seconds"] == auto["seconds"]
    assert auto["precision_line"] == "precision=auto: bf16, 1.7 times the speed of fp32 here"
    assert asked["precision_line"] == "1.7 times the speed of fp32"
    runs.begin(tmp_path / "a").create(TINY)
    assert planned("precision=auto", "--resume", "--run", "a")["config"]["precision"] == "fp32"  # as it has it


def test_a_preset_for_every_cpu_asks_for_none_of_them() -> None:
    assert load("faces-64").precision == "auto"


@pytest.fixture
def model(generator: TrainedGenerator, tmp_path: Path) -> Path:
    path = tmp_path / "generator.pt"
    save_generator(path, generator)
    return path


@pytest.mark.parametrize(("speeds", "precision"), [(FAST, "bf16"), (SLOW, "fp32")])
def test_sample_takes_what_is_faster_and_says_so(
    model: Path, speeds: Speeds, precision: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(reduced, "hopeless", lambda *_: None)
    monkeypatch.setattr(reduced, "backend_speeds", lambda backends: speeds)
    out = model.with_name("images.npy")
    sampled = ["sample", "-n", "4", "--model", str(model), "--out", str(out), "--device", "cpu", "--json"]
    assert main([*sampled, "--precision", "auto"]) == 0
    found = capsys.readouterr()
    assert json.loads(found.out)["precision"] == precision
    assert found.err.splitlines()[0] == speeds.line("--precision auto")
    chosen = out.read_bytes()
    assert main([*sampled, "--precision", precision]) == 0
    assert out.read_bytes() == chosen


def test_what_is_faster_but_too_far_off_is_not_taken(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(reduced, "hopeless", lambda *_: FAST)
    monkeypatch.setitem(parity.GATES, ("bf16", "cpu"), {"max_abs": 1e-4})
    said: list[str] = []
    with reduced.open_faster(model, "cpu", said.append) as backend:
        assert backend.metadata.precision == "fp32"
    assert said[1].startswith("--precision auto: fp32 all the same, as ")
    exported = ["export", "--checkpoint", str(model), "--out", str(model.parent / "to"), "--precision", "auto"]
    monkeypatch.setattr(exporter, "hopeless", lambda *_: None)
    monkeypatch.setattr(exporter, "backend_speeds", lambda backends: FAST)
    assert main([*exported, "--format", "torchscript", "--max-batch", "4", "--device", "cpu"]) == 0
    assert "; fp32 all the same, as generator.bf16.ts does not match PyTorch" in capsys.readouterr().err
    assert [path.name for path in (model.parent / "to").glob("*.ts")] == ["generator.ts"]


def test_backends_are_timed_on_the_same_batch(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reduced, "hopeless", lambda *_: None)
    said: list[str] = []
    with reduced.open_faster(model, "cpu", said.append) as backend:
        assert f"--precision auto: {backend.metadata.precision}" in said[0]


def test_export_makes_what_is_faster_of_each_format(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def timed(backends: dict[str, Any]) -> Speeds:
        return FAST if "bf16" in backends else Speeds("cpu", {"fp32": 1.0, "fp16": 1.0})

    monkeypatch.setattr(exporter, "hopeless", lambda *_: None)
    monkeypatch.setattr(exporter, "backend_speeds", timed)
    words = ["export", "--checkpoint", str(model), "--out", str(model.parent), "--max-batch", "4", "--device", "cpu"]
    made = []
    for kind in ("torchscript", "onnx"):
        assert main([*words, "--format", kind, "--precision", "auto", "--json"]) == 0
        found = capsys.readouterr()
        made += json.loads(found.out)["artifacts"]
        assert f"{kind}: --precision auto: {made[-1]['precision']}" in found.err
    assert [(row["file"], row["precision"]) for row in made] == [
        ("generator.bf16.ts", "bf16"),
        ("generator.onnx", "fp32"),
    ]
    assert main([*words, "--format", "torchscript", "--precision", "fast"]) == 2
    assert "--precision fast is not one of fp32, bf16, fp16, auto" in capsys.readouterr().err


def test_where_it_means_nothing_auto_is_refused(
    model: Path, tiny_export: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    auto = ["--precision", "auto", "--device", "cpu"]
    assert main(["sample", "-n", "1", "--model", str(tiny_export / "generator.onnx"), *auto]) == 2
    assert "--precision auto is for checkpoints" in capsys.readouterr().err
    assert main(["bench", "--model", str(model), *auto]) == 2
    assert "--precision auto is not one of fp32, fp16, bf16" in capsys.readouterr().err

    def nowhere(*_: Any, **__: Any) -> None:
        raise BackendUnavailable("TensorRT needs an NVIDIA GPU")

    monkeypatch.setattr(exporter, "open_artifact", nowhere)
    words = ["export", "--checkpoint", str(model), "--out", str(model.parent / "to"), "--format", "trt"]
    assert main([*words, *auto[:2]]) == 2
    assert "--precision auto times artifacts, which cannot run here: name fp32 or fp16" in capsys.readouterr().err
