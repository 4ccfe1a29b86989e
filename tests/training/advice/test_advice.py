"""A run says what it sees: each symptom in a real run made to show it, and nothing in a healthy one."""

import html
import json
import math
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from tests import ROOT
from tests.said import commands_in
from wgan.serve.base.privacy import public_line
from wgan.serve.base.progress import duration
from wgan.training.advice import Adviser
from wgan.training.advice.remedies import ITSELF, recommended
from wgan.training.advice.rules import RULES
from wgan.training.config import FIELDS, Config, from_dict, parse_overrides
from wgan.training.networks import Generator
from wgan.training.records import folder as runs
from wgan.training.records.folder import RunFolder
from wgan.training.records.history import read
from wgan.training.run.loop import train
from wgan.training.step.trainer import Trainer

CPU = torch.device("cpu")
RUN = RunFolder(Path("runs/one"))

HEALTHY = Config(
    image_size=8,
    base_channels=8,
    latent_dim=8,
    faces_count=64,
    batch_size=16,
    n_critic=3,
    lr_g=3e-3,
    lr_d=1e-2,
    ema_decay=0.9,
    steps=330,
    validate_every=110,
    validate_images=64,
    sample_every=10_000,
    checkpoint_every=10_000,
)
SMALL = HEALTHY.replace(base_channels=4, batch_size=8)
STILL = {"lr_g": 1e-9, "lr_d": 1e-9, "n_critic": 1}  # nothing moves any more


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def said(tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Trains for real, and returns the advice of the run as (step, rule, message)."""

    def of(config: Config, *resumed: dict[str, Any]) -> list[tuple[int, str, str]]:
        folder = runs.begin(tmp_path / "run")
        train(folder, config, device=CPU, cache=cache)
        for changes in resumed:
            folder, config = runs.reopen(folder.path, changes)
            train(folder, config, device=CPU, cache=cache, resume=True)
        events = [record for record in read(folder.metrics) if "rule" in record]
        shown = [line for line in capsys.readouterr().err.splitlines() if line.startswith("advice")]
        kept = [f"advice at step {event['step']}: {event['message']}" for event in events]
        assert [public_line(line, folder.path, config.to_dict()) for line in shown] == kept
        return [(event["step"], event["rule"], event["message"]) for event in events]

    return of


def rules(said: list[tuple[int, str, str]]) -> list[str]:
    return [rule for _, rule, _ in said]


# real runs, each with what provokes its symptom


@pytest.mark.slow
def test_nothing_is_said_of_a_healthy_run(said: Any) -> None:
    assert said(HEALTHY) == []


def test_nothing_is_said_over_the_record_of_a_longer_one() -> None:
    """Kept from `wgan train --config demo image_size=32 base_channels=8 faces_count=2048 validate_every=55`."""
    records = read(ROOT / "tests" / "data" / "healthy_run.jsonl")
    assert [r["step"] for r in records][-1] == 1100
    assert spoken(records, Config(image_size=32)) == []


@pytest.mark.slow
def test_without_a_penalty_worth_the_name_the_gradient_is_far_from_1(said: Any) -> None:
    ((step, rule, message), *_) = said(SMALL.replace(n_critic=1, lambda_gp=0.01, lr_g=1e-3))
    assert (step, rule) == (300, "gradient")
    assert re.search(
        r"norm between real and generated images is [\d.]+ on average and [\d.]+ \(rms\) away from 1: "
        r"stop it and try `wgan train --resume --run .* lambda_gp=10`",
        message,
    )


@pytest.mark.slow
def test_an_absurd_learning_rate_makes_the_losses_swing(said: Any) -> None:
    found = {rule: message for _, rule, message in said(SMALL.replace(n_critic=1, lr_g=0.5, lr_d=0.5))}
    assert "lr_g=0.001 lr_d=0.001 n_critic=2`, or try a new run" in found["unstable"]
    assert found["unstable"].endswith("config.yaml spectral_norm=critic`")
    assert re.match(r"the losses swing by \d+% of their level", found["unstable"])


@pytest.mark.slow
def test_a_generator_that_ignores_its_latent_has_collapsed(said: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    forward = Generator.forward

    def one_image(self: Generator, z: torch.Tensor, label: None = None) -> torch.Tensor:
        images = forward(self, z if self.training else torch.zeros_like(z), label)
        return images.mean(0, keepdim=True).expand_as(images)

    monkeypatch.setattr(Generator, "forward", one_image)
    ((step, rule, message),) = said(SMALL.replace(lr_g=1e-3, lr_d=3e-3))
    assert (step, rule) == (330, "collapse")
    assert re.search(r"vary 0\.0\d times as much as the data", message)
    assert "lambda_gp=20 augment_flip=0.5 augment_enlarge=1.125`, or try a new run" in message
    assert "config.yaml batch_size=16" in message


@pytest.mark.slow
def test_a_generator_that_can_draw_no_edges_is_blurry(said: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    forward = Generator.forward

    def smooth(self: Generator, z: torch.Tensor, label: None = None) -> torch.Tensor:
        return F.interpolate(F.avg_pool2d(forward(self, z, label), 4), scale_factor=4, mode="bilinear")

    monkeypatch.setattr(Generator, "forward", smooth)
    still = {"steps": 400, "validate_every": 90, **STILL}
    found = {rule: message for _, rule, message in said(SMALL.replace(steps=150), still)}
    assert re.match(r"generated images have 0\.[0-4]\d times the data's sharpness", found["blurry"])
    assert "steps=800`, or try a new run" in found["blurry"]
    assert "config.yaml depth=2 base_channels=8" in found["blurry"]


@pytest.mark.slow
def test_a_generator_that_hardly_learns_leaves_the_critic_far_ahead(said: Any) -> None:
    ((step, rule, message),) = said(SMALL.replace(lr_g=1e-7))
    assert (step, rule) == (330, "ahead")
    assert message.endswith(" lr_g=0.0001`")


@pytest.mark.slow
def test_no_progress_from_near_the_start_is_slow(said: Any) -> None:
    ((_, rule, message),) = said(HEALTHY.replace(steps=70), {"steps": 420, "validate_every": 60, **STILL})
    assert rule == "slow"
    assert "lr_g=0.0001 lr_d=0.0001`, or try a new run" in message
    assert message.endswith("`wgan train --config run/config.yaml init_critic=run`")


@pytest.mark.slow
def test_no_progress_after_much_of_it_is_a_plateau(said: Any) -> None:
    ((_, rule, message),) = said(
        HEALTHY.replace(steps=150), {"steps": 480, "lr_g": 1e-9, "lr_d": 1e-9, "validate_every": 60}
    )
    assert rule == "plateau"
    assert re.match(r"SWD has stayed at [\d.]+ since step 1\d0, real images are at [\d.]+", message)
    assert "lr_schedule=linear`, or try a new run" in message
    assert message.endswith("config.yaml batch_size=32`")


# made-up records: thresholds, hysteresis, what is left out


def point(step: int, **values: float | None) -> dict[str, Any]:
    calm = {"wasserstein": 2.0, "penalty": 0.02, "grad_norm": 1.0, "critic_loss": -1.8, "generator_loss": 0.5}
    return {"kind": "train", "step": step, **calm, **values}


def look(step: int, swd: float, diversity: float = 1.0, sharpness: float = 1.0, **more: Any) -> dict[str, Any]:
    return {"kind": "validation", "step": step, "swd": swd, "diversity": diversity, "sharpness": sharpness, **more}


def spoken(records: list[dict[str, Any]], config: Config = Config()) -> list[tuple[int, str]]:
    adviser = Adviser(RUN, config)
    return [(event["step"], event["rule"]) for record in records for event in adviser.see(record)]


def penalties(*values: float, every: int = 10) -> list[dict[str, Any]]:
    return [point(every * (i + 1), penalty=value) for i, value in enumerate(values)]


def test_the_gradient_rule_speaks_at_0_6_after_a_whole_window_past_the_warm_up() -> None:
    assert spoken(penalties(*[0.61**2] * 100)) == [(300, "gradient")]
    assert spoken(penalties(*[0.59**2] * 100)) == []
    assert spoken(penalties(*[25.0] * 19, *[0.01] * 80)) == []  # nine of its twenty lie in the first window


def test_it_speaks_again_only_after_the_symptom_has_gone() -> None:
    high, middle, low = [0.5] * 30, [0.2] * 30, [0.1] * 30  # roots 0.71, 0.45, 0.32
    assert spoken(penalties(*high, *middle, *high)) == [(300, "gradient")]
    assert [rule for _, rule in spoken(penalties(*high, *low, *high))] == ["gradient", "gradient"]


@pytest.mark.parametrize("every", [1, 2, 5, 10])
def test_records_taken_more_often_say_the_same_at_the_same_step(every: int) -> None:
    assert spoken(penalties(*[0.5] * (400 // every), every=every)) == [(300, "gradient")]


def test_a_warm_up_of_the_learning_rate_is_left_out_too() -> None:
    assert spoken(penalties(*[0.5] * 100), Config(lr_warmup=400)) == [(700, "gradient")]


def test_swings_are_told_from_a_trend_and_from_noise_about_nothing() -> None:
    def losses(shape: Any) -> list[dict[str, Any]]:
        return [point(10 * i, wasserstein=20.0, generator_loss=shape(i)) for i in range(1, 61)]

    assert spoken(losses(lambda i: 100.0 * i)) == []
    assert spoken(losses(lambda i: 4.4 * (-1) ** i)) == []  # twice its size is its distance from its neighbours' middle
    assert spoken(losses(lambda i: 4.6 * (-1) ** i)) == [(300, "unstable")]
    tiny = [point(10 * i, wasserstein=0.01 * (-1) ** i, generator_loss=0.2 * (-1) ** i) for i in range(1, 61)]
    assert spoken(tiny) == []  # of images 64 pixels wide, W under 5.5 is little


def test_the_large_w_at_the_start_is_no_critic_far_ahead() -> None:
    """W shoots up and falls, as it does in every run, while the samples are still grey."""
    rising = [point(10 * i, wasserstein=min(8.0 * i, 60.0)) for i in range(1, 21)]
    falling = [point(10 * i, wasserstein=60 * math.exp(-(i - 20) / 20)) for i in range(21, 61)]
    looks = [look(step, 150.0, 0.2, floor_levels={}) for step in (0, 110, 220, 330, 440, 550)]
    records = sorted([*rising, *falling, *looks], key=lambda record: record["step"])
    assert "ahead" not in [rule for _, rule in spoken(records)]
    still = [*rising, *(point(10 * i, wasserstein=60.0) for i in range(21, 61)), *looks]
    assert (330, "ahead") in spoken(sorted(still, key=lambda record: record["step"]))


def with_looks(*looks: dict[str, Any], steps: int = 6000) -> list[dict[str, Any]]:
    records = [point(step) for step in range(100, steps + 1, 100)]
    return sorted([*records, *looks], key=lambda record: (record["step"], record["kind"]))


def test_diversity_that_is_low_but_rises_is_no_collapse() -> None:
    start = look(0, 200.0, 0.1, 0.2)
    rising = [look(1000 * i, 190.0 - 20 * i, 0.1 * i) for i in range(2, 5)]
    stuck = [look(1000 * i, 190.0 - 20 * i, 0.3) for i in range(2, 5)]
    assert spoken(with_looks(start, *rising)) == []
    assert spoken(with_looks(start, *stuck)) == [(4000, "collapse")]
    assert spoken(with_looks(start, *stuck, look(5000, 80.0, 0.5))) == [(4000, "collapse")]


def test_a_plateau_is_judged_by_the_floor_and_by_the_schedule() -> None:
    def run(swd: float, config: Config = Config(steps=8000), steps: int = 6000) -> list[tuple[int, str]]:
        first = look(0, 200.0, 0.1, 0.2, floor_levels={"64": 15.0, "32": 17.0})
        records = with_looks(first, *(look(1000 * i, swd) for i in range(2, 9)), steps=8000)
        return spoken(records, config)

    assert run(40.0) == [(7000, "plateau")]
    assert run(19.9) == []  # within a quarter of the floor, 16
    assert run(180.0) == [(7000, "slow")]
    assert run(40.0, Config(steps=8000, lr_schedule="cosine")) == []  # the rate is on its way to zero


def test_progress_is_not_judged_across_a_change_of_the_data() -> None:
    def run(*changed: dict[str, Any]) -> list[tuple[int, str]]:
        first = look(0, 200.0, 0.1, 0.2, floor_levels={"64": 15.0})
        early, late = ([look(1000 * i, swd) for i in range(*steps)] for steps, swd in (((2, 6), 40.0), ((6, 12), 44.0)))
        again = look(5000, 44.0, floor_levels={"64": 43.0}) if changed else early[-1]
        return spoken([*with_looks(first, *early, steps=5000), *changed, again, *late], Config(steps=20_000))

    changed = {"kind": "event", "step": 5000, "message": "", "data": {"images": [20, 23]}}
    assert run() == [(6000, "plateau")]
    assert run(changed) == []  # near the new floor


def test_while_a_run_is_unstable_nothing_is_said_of_its_samples() -> None:
    looks = [look(0, 200.0, 0.1, 0.2), *(look(1000 * i, 150.0, 0.3) for i in range(2, 7))]
    calm = with_looks(*looks)
    wild = [{**record, "penalty": 4.0} if record["kind"] == "train" else record for record in calm]
    assert [rule for _, rule in spoken(calm)] == ["collapse"]
    assert [rule for _, rule in spoken(wild)] == ["gradient"]


def test_records_without_numbers_and_of_other_kinds_are_passed_over() -> None:
    odd = [{"kind": "event", "step": 5, "message": "resumed"}, point(7, penalty=None), {"kind": "train"}, {"step": 3}]
    old = {"kind": "validation", "step": 9, "swd": 3.0, "swd_levels": {"64": None}}
    assert spoken([*odd, old, *penalties(*[0.5] * 40)]) == [(300, "gradient")]


# what is recommended


def remedies(config: Config) -> Iterator[tuple[str, str]]:
    """Each rule's recommendation after records in which anything might show, for gradients on both sides of 1."""
    for norm in (0.1, 3.0):
        adviser = Adviser(RUN, config)
        looks = [look(0, 200.0), *(look(100 * i, 199.0) for i in range(2, 9))]
        for record in sorted([*(point(10 * i, grad_norm=norm) for i in range(1, 90)), *looks], key=lambda r: r["step"]):
            adviser.see(record)
        for rule in RULES:
            yield rule.name, recommended(rule.remedy(adviser.signs), config, RUN)


@pytest.mark.parametrize(
    "config",
    [
        Config(),
        Config(lambda_gp=0.0, image_size=8, lr_g=0.0, lr_d=0.5, n_critic=1),
        Config(lambda_gp=10_000.0, n_critic=100, batch_size=65_536, base_channels=1024, steps=100_000_000),
        Config(lr_schedule="cosine", augment_flip=0.2, augment_enlarge=1.5, n_critic=80),
    ],
)
def test_only_settings_that_exist_are_named_with_values_they_can_take(config: Config) -> None:
    for rule, text in remedies(config):
        commands = commands_in(text)
        assert commands or text == "no setting is left to change, look at the data", rule
        for words in commands:
            ways = {"--resume": ["--run", "runs/one"], "--config": ["runs/one/config.yaml"]}
            before = ["train", words[1], *ways[words[1]]]
            assert words[: len(before)] == before
            for name, value in parse_overrides(words[len(before) :]).items():
                assert from_dict({name: value}, base=config) != config, (rule, name)
                assert ("--config" in words) == FIELDS[name].metadata["fixed"], (rule, name)


def test_the_document_s_own_figures_come_out_for_the_document_s_settings() -> None:
    found = dict(remedies(Config()))
    assert found["unstable"] == (
        "stop it and try `wgan train --resume --run runs/one lr_g=5e-05 lr_d=5e-05 n_critic=10`, "
        "or try a new run, `wgan train --config runs/one/config.yaml spectral_norm=critic`"
    )
    assert commands_in(found["collapse"])[0][4] == "lambda_gp=20"
    assert commands_in(found["blurry"])[-1][3:] == ["depth=2", "base_channels=128", "attention=32"]


def test_what_is_kept_of_advice_names_the_run_by_its_name_alone() -> None:
    text = recommended({"lr_g": 5e-5, "init_critic": ITSELF}, Config(), RunFolder(Path("/home/ann/my runs/one")))
    assert public_line(text, Path("/home/ann/my runs/one"), {}) == (
        "stop it and try `wgan train --resume --run one lr_g=5e-05`, "
        "or try a new run, `wgan train --config 'one/config.yaml' 'init_critic=one'`"
    )


def test_the_documents_table_has_every_rule_and_its_settings() -> None:
    page = (ROOT / "docs" / "watching.md").read_text("utf-8")
    for rule, text in remedies(Config()):
        (row,) = re.findall(rf"^\| `{rule}` \|.*$", page, re.MULTILINE)
        assert all(f"`{name}`" in row for name in re.findall(r"(\w+)=", text)), rule


# what a resumed run says


@pytest.mark.slow
def test_a_resumed_run_says_the_same_at_the_same_steps(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped by a signal between two records, once before and once after the advice is given."""
    config = SMALL.replace(n_critic=1, lambda_gp=0.01, lr_g=1e-3, steps=420, checkpoint_every=50)
    whole = runs.begin(tmp_path / "whole" / "run")
    train(whole, config, device=CPU, cache=cache)

    iterate, stops = Trainer.iterate, {155, 333}

    def interrupted(self: Trainer, reals: Any) -> None:
        iterate(self, reals)
        if self.step in stops:
            stops.remove(self.step)
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Trainer, "iterate", interrupted)
    folder = runs.begin(tmp_path / "parts" / "run")
    parts = [train(folder, config, device=CPU, cache=cache)]
    while not parts[-1].finished:
        folder, config = runs.reopen(folder.path, {})
        parts.append(train(folder, config, device=CPU, cache=cache, resume=True))
    assert len(parts) == 3
    said = [[r for r in read(run.metrics) if "rule" in r] for run in (whole, folder)]
    assert said[0] == said[1]
    assert said[0]

    # and its seconds go on, in the report too
    seconds = [r["seconds"] for r in read(folder.metrics) if r["kind"] == "train"]
    assert seconds == sorted(seconds)
    assert seconds[-1] > 0.9 * json.loads(folder.timings.read_text())["training"]
    assert seconds[-1] < sum(part.seconds for part in parts)
    report = (folder.path / "report.html").read_text("utf-8")
    assert f"trained for {duration(seconds[-1])} " in report
    assert report.count(html.escape(said[0][0]["message"])) == 1
    records = {r["step"]: r for r in read(folder.metrics) if r["kind"] == "train"}
    for step, done in ((150, 10), (160, 5), (330, 10), (340, 7)):  # of a resumed part's first window, its own steps
        window = records[step]["seconds"] - records[step - 10]["seconds"]
        assert records[step]["images_per_second"] == pytest.approx(done * SMALL.batch_size / window, rel=0.1)
    assert parts[-1].images_per_second == pytest.approx(87 * SMALL.batch_size / (seconds[-1] - seconds[32]), rel=0.1)
