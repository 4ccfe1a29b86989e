"""The benchmarks of scripts/, at tiny sizes: what they count and how they end. Never a time."""

import argparse
import importlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from tests import ROOT
from tests.make import make_generator
from wgan.export import exporter
from wgan.export.formats.web import ort_web
from wgan.serve.backends.browser.found import no_browser
from wgan.training.config import Config, load
from wgan.training.data import ImageSet
from wgan.training.data.stream import BatchStream
from wgan.training.step.flops import Passes, step_flops

SCRIPTS = ROOT / "scripts"


def run(script: str, *words: str) -> tuple[dict[str, Any], str]:
    """The JSON object of the last line, and what stands before it."""
    command = [sys.executable, str(SCRIPTS / script), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    *tables, last = done.stdout.splitlines()
    assert f"{script.removesuffix('.py')}: " in done.stderr
    return json.loads(last), "\n".join(tables)


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))


@pytest.mark.slow
def test_the_training_benchmark_measures_every_case(tmp_path: Path) -> None:
    tiny = ["--quick", "--device", "cpu", "--image-size", "8", "--base-channels", "2", "--batch-size", "8"]
    tiny += ["--rounds", "1", "--batches", "4,8", "--widths", "2", "--track-steps", "2", "--cache", str(tmp_path)]
    only = ["--only", "compare", "--only", "sweep", "--only", "track"]
    found, tables = run("bench_training.py", *tiny, *only)
    cases = {row["case"]: row for row in found["cases"]}
    assert {"baseline", "ours fp32", "ours bf16", "accumulate=4", "activation_checkpointing", "penalty_every=4"} <= set(
        cases
    )
    assert cases["baseline"]["times_baseline"] == 1
    for row in cases.values():
        assert row["images_per_second"] == pytest.approx(5 * 8 / row["ms_iteration"] * 1e3)
        peak = found["peaks"][row["peak_precision"]]
        assert row["share_of_peak"] == pytest.approx(row["flops_iteration"] / row["ms_iteration"] * 1e3 / peak)
    needed = cases["ours fp32"]["flops_iteration"]
    assert cases["activation_checkpointing"]["flops_iteration"] == cases["baseline"]["flops_iteration"] == needed
    assert cases["penalty_every=4"]["flops_iteration"] < needed
    assert {row["batch"] for row in found["sweep"]} == {4, 8}
    assert set(found["track"]) == {"steps", "wasserstein", "penalty"}
    assert "cost against size" in tables


@pytest.mark.slow
def test_nothing_is_compiled_within_a_timed_round(scripts: None, monkeypatch: pytest.MonkeyPatch) -> None:
    import bench_training

    graphs, at_rounds = list[torch.fx.GraphModule](), list[int]()

    def counting(graph: torch.fx.GraphModule, inputs: list[Any]) -> Callable[..., Any]:
        graphs.append(graph)
        return graph.forward

    def said(line: str) -> None:
        if ": round" in line:
            at_rounds.append(len(graphs))

    compiled = ["ours fp32 compiled", "ours bf16 compiled"]
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=counting))
    monkeypatch.setattr(bench_training, "CASES", {name: bench_training.COMPILED[name] for name in compiled})
    monkeypatch.setattr(bench_training, "say", said)
    config = Config(image_size=8, base_channels=2, batch_size=4, n_critic=2)
    rows = bench_training.compare(compiled, config, torch.device("cpu"), 3, {"fp32": 1e9, "bf16": 1e9})
    assert [*at_rounds, len(graphs)] == [6] * 4  # of each the fake, the critic's loss and the generator's
    assert [row["notes"] for row in rows] == [[], []]


def test_a_case_that_cannot_have_its_setting_says_so(scripts: None, monkeypatch: pytest.MonkeyPatch) -> None:
    import bench_training

    def refuse(*_: Any, **__: Any) -> Any:
        raise RuntimeError("no compiler is here")

    monkeypatch.setattr(torch, "compile", refuse)
    monkeypatch.setattr(bench_training, "CASES", bench_training.COMPILED)
    config = Config(image_size=8, base_channels=2, batch_size=4, n_critic=2)
    (row,) = bench_training.compare(["ours fp32 compiled"], config, torch.device("cpu"), 1, {"fp32": 1e9})
    assert [line.endswith("no compiler is here") for line in row["notes"]] == [True]


@pytest.mark.slow
def test_a_peak_of_memory_is_measured_in_a_process_of_its_own(scripts: None) -> None:
    import bench_training

    config = Config(image_size=8, base_channels=2, batch_size=4)
    found = bench_training.memory_apart("ours fp32", config, torch.device("cpu"))
    assert found is not None
    assert found > 0


def test_the_baseline_trains_as_the_document_reads(scripts: None) -> None:
    import bench_training

    torch.manual_seed(0)
    config = Config(image_size=8, base_channels=2, batch_size=4, n_critic=2)
    baseline = bench_training.Baseline(config, torch.device("cpu"))
    pixels = torch.randint(0, 256, (8, 8, 8, 3), dtype=torch.uint8).numpy()
    reals = BatchStream(ImageSet(pixels, None, None, "", ""), 4, 0, torch.device("cpu"))
    before = [p.detach().clone() for p in (*baseline.generator.parameters(), *baseline.critic.parameters())]
    baseline.iterate(reals)
    after = [*baseline.generator.parameters(), *baseline.critic.parameters()]
    assert sum(not torch.equal(a, b) for a, b in zip(before, after, strict=True)) > len(after) / 2
    assert reals.cursor == 4  # one real batch for all critic steps of an iteration, as section 3.1 has it
    # of a linear critic the gradient is its weight, wherever the interpolates lie
    weight = torch.full((3, 8, 8), 0.25)
    baseline.critic = lambda images: (images * weight).sum((1, 2, 3))
    real, fake = torch.randn(2, 4, 3, 8, 8)
    assert float(baseline._penalty(real, fake)) == pytest.approx((float(weight.norm()) - 1) ** 2, rel=1e-5)


def test_what_would_take_too_long_is_left_out_of_the_sweep(scripts: None) -> None:
    import bench_training

    config = Config(image_size=8, base_channels=2, batch_size=4)
    peak = {"fp32": 1e9, "bf16": 1e9}
    rows = bench_training.sweep([(2, 4), (2, 8)], config, torch.device("cpu"), peak, most=1e-9)
    assert ["left_out" in row for row in rows] == [False, True] * len(bench_training.SWEPT)
    assert "s an iteration" in rows[1]["left_out"]


@pytest.mark.slow
def test_the_profile_of_an_iteration_counts_all_that_it_multiplies() -> None:
    found, tables = run("profile_training.py", "--preset", "demo", "--rows", "2", "--rounds", "1", "--size", "64")
    operators = {row["operator"]: row for row in found["operators"]}
    assert sum(row["flops"] for row in operators.values()) == step_flops(Passes(load("demo").replace(batch_size=2)))
    for row in operators.values():
        assert (row["of_peak"] is None) is (row["of_peak_alone"] is None) is (row["flops"] == 0)
    forward = operators["convolution"]
    assert forward["of_peak"] == pytest.approx(forward["flops"] / forward["ms"] * 1e3 / found["peak"])
    assert "convolution_backward" in tables
    assert "the iteration with them at that rate" in tables


@pytest.mark.slow
def test_the_data_benchmark_counts_what_it_drew() -> None:
    found, tables = run("bench_data.py", "--quick", "--count", "70", "--side", "16", "--image-size", "8")
    assert found["jpegs"]["count"] == 70
    assert found["jpegs"]["bytes"] > 70 * 100
    assert [(row["batch"], row["augmented"]) for row in found["batches"]] == [
        (64, False),
        (64, True),
        (512, False),
        (512, True),
    ]
    assert "70 JPEGs of 16 px" in tables


@pytest.mark.slow
def test_the_sampling_benchmark_measures_every_part(tmp_path: Path, tiny_export: Path) -> None:
    (tmp_path / "generator.onnx").write_bytes((tiny_export / "generator.onnx").read_bytes())
    small = ["--batches", "2", "--count", "5", "--memory", "10,600", "--seconds", "0.01"]
    small += ["--repeats", "1", "--rounds", "1"]  # one round has no spread, and its number is shown
    found, tables = run("bench_sampling.py", "--export", str(tmp_path), "--device", "cpu", *small)
    assert found["trained"] is True
    assert [row["out"] for row in found["commands"]] == ["PNG folder", "npy", "tar"]
    assert all(row["images_per_second"] == pytest.approx(5 / row["wall"]) for row in found["commands"])
    assert [row["out"] for row in found["overlap"]] == ["PNG folder", "tar"]
    assert {row["wall_spread"] for row in (*found["commands"], *found["cold"])} == {None}
    for row in found["overlap"]:
        assert row["share"] == pytest.approx(row["images_per_second"] / row["bound"])
        assert row["bound"] < found["parts"]["generation"]
    assert [row["command"] for row in found["cold"]] == [
        "wgan --help",
        "wgan sample --backend onnx -n 64 --out grid.png",
    ]
    assert [row["file_bytes"] > row["count"] * 8 * 8 * 3 for row in found["memory"]] == [True, True]
    expected = found["parts"]["flops"] * found["parts"]["generation"] / found["peaks"]["CPU fp32"]
    assert found["parts"]["share_of_peak"] == pytest.approx(expected)
    assert "encoding, one thread" in tables


@pytest.mark.slow
def test_the_fleet_benchmark_measures_workers_beside_a_plain_loop(
    scripts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    import bench_fleet

    monkeypatch.setattr(bench_fleet, "find_spec", lambda _: None)  # a cluster takes longer than all of this
    monkeypatch.setattr(bench_fleet, "usable_cores", lambda: 2)
    words = {"shards": 3, "shard_size": 4, "rounds": 1, "workers": [2], "quick": True}
    wanted = argparse.Namespace(model="faces", only="measured", **words)
    found = bench_fleet.everything(wanted)
    loop, two = found["measured"]["rows"]
    assert [(row["by"], row["workers"]) for row in (loop, two)] == [("plain loop", 1), ("processes", 2)]
    assert (found["measured"]["count"], found["simulated"]) == (12, None)
    cpu = found["measured"]["cpu_seconds_an_image"]
    for row in (loop, two):
        assert row["images_per_second"] > 0
        assert row["start_seconds"] > 0
        assert row["ideal"] >= loop["images_per_second"]
        if cpu > 0:  # so few images may take no more than the start
            assert row["ideal"] <= max(loop["images_per_second"], 2 / cpu)
        assert row["of_ideal"] == pytest.approx(row["images_per_second"] / row["ideal"])
    assert "12 images in 3 shards, 2 cores" in bench_fleet.show(found)


def test_the_simulated_fleet_is_the_same_for_a_seed_and_copies_shorten_it(
    called: Callable[..., tuple[int, str, str]],
) -> None:
    code, printed, said = called("bench_fleet", "--quick", "--only", "simulated", "--seeds", "2")
    assert code == 0
    assert "bench_fleet: simulated, nodes hang" in said
    *tables, last = printed.splitlines()
    again = json.loads(called("bench_fleet", "--quick", "--only", "simulated", "--seeds", "2")[1].splitlines()[-1])
    found = json.loads(last)["simulated"]
    assert found == again["simulated"]
    rows = {row["weather"]: row for row in found["rows"]}
    assert rows["nothing"]["over_with"] == rows["nothing"]["over_without"]
    assert rows["nothing"]["extra"]["mean"] == rows["nothing"]["lost"]["mean"] == 0
    assert rows["nodes die"]["lost"]["mean"] > 0
    hang = rows["nodes hang"]
    assert hang["over_with"]["mean"] < hang["over_without"]["mean"]
    assert hang["copies"]["mean"] > 0
    assert 0 < hang["extra"]["mean"] < 0.1
    assert rows["all, long shards"]["shards"] * 10 == rows["all of it"]["shards"]
    assert any(line.startswith("all, long shards ") for line in tables)


@pytest.mark.parametrize("copies", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_a_simulated_fleet_never_beats_its_ideal_nor_works_for_free(scripts: None, seed: int, copies: bool) -> None:
    from fleet_weather import BAD
    from simulated_fleet import Fleet, simulate

    fleet = Fleet(200, 10, 300.0)
    made = simulate(BAD, fleet, seed, copies)
    assert made == simulate(BAD, fleet, seed, copies)
    assert made.makespan > made.ideal
    assert made.attempts >= fleet.shards
    assert made.copies <= made.attempts - fleet.shards
    assert (made.copied > 0) <= copies
    assert made.used <= fleet.nodes * made.makespan


def test_a_simulated_fleet_of_equal_nodes_takes_what_can_be_counted(scripts: None) -> None:
    from simulated_fleet import Fleet, Weather, simulate

    calm = simulate(Weather(spread=0.0, opening=3.0), Fleet(8, 4, 100.0), 0, True)
    assert (calm.makespan, calm.used, calm.attempts) == (pytest.approx(203), pytest.approx(4 * 203), 8)
    assert calm.ideal == pytest.approx(200, rel=1e-5)
    assert calm.over == pytest.approx(0.015, rel=1e-3)
    last = simulate(Weather(spread=0.0, opening=0.0), Fleet(9, 4, 100.0), 0, False)
    assert last.makespan == pytest.approx(300)  # the ninth alone
    assert last.ideal == pytest.approx(225, rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("client", ["own", "wrk"])
def test_the_serving_benchmark_asks_for_images_alone_and_beside_sampling(tiny_export: Path, client: str) -> None:
    if client == "wrk" and shutil.which("wrk") is None:
        pytest.skip("needs wrk")
    words = ["--model", str(tiny_export / "generator.onnx"), "--quick", "--seconds", "0.3", "--client", client]
    found, tables = run("bench_serving.py", *words)
    assert found["client"] == client
    assert [(row["case"], row["clients"]) for row in found["rows"]] == [
        ("one PNG", 1),
        ("one PNG", 16),
        ("16 raw images", 1),
        ("16 raw images", 16),
    ]
    for row in found["rows"]:
        assert row["failed"] == 0
        assert row["images_per_second"] == pytest.approx(row["requests_per_second"] * row["images"])
        assert row["of_sample"] == pytest.approx(row["images_per_second"] / found["sample"]["images_per_second"])
        assert row["p99_ms"] >= row["p50_ms"] > 0
    assert "16 raw images" in tables


@pytest.mark.slow
def test_the_contention_benchmark_measures_each_case_beside_its_neighbours(tiny_export: Path) -> None:
    words = ["--quick", "--rounds", "1", "--seconds", "0.01", "--export", str(tiny_export)]
    found, tables = run("bench_contention.py", *words, "--only", "training,onnx", "--beside", "one busy")
    rows = {(row["case"], row["beside"]): row for row in found["rows"]}
    assert list(rows) == [(case, place) for case in ("training", "onnx") for place in ("alone", "one busy")]
    for (case, place), row in rows.items():
        assert row["ms"] > 0
        assert row["ms_reason"] is None
        assert row["times_alone"] == pytest.approx(row["ms"] / rows[case, "alone"]["ms"])
        assert row.get("holds") is (None if place == "alone" else row["times_alone"] <= 1.9)
    assert max(map(len, tables.splitlines())) <= 80
    assert "training, an iteration" in tables


def test_what_counts_beside_a_second_training_and_a_suite(scripts: None) -> None:
    import bench_contention as script
    from bench_shared import measured

    times = {
        "alone": [[100.0], [104.0], [96.0]],
        "one busy": [[150.0], [151.0], [300.0]],
        "a training": [[200.0, 220.0], [240.0, 210.0], [230.0, 230.0]],
        "a suite": [[250.0], [240.0], [301.0]],
    }
    figures = {where: measured([max(each) for each in found]) for where, found in times.items()}
    rows = {where: script.row_of("training", where, figures, times[where]) for where in times}
    assert rows["alone"]["ms"] == 100
    assert rows["one busy"]["ms"] is rows["one busy"]["times_alone"] is rows["one busy"]["holds"] is None
    assert rows["one busy"]["ms_reason"] == "too noisy to measure (spread 50%)"
    assert rows["a training"]["ms_each"] == [230, 220]
    assert rows["a training"]["times_alone"] == 2.3  # of the slower one of each round
    assert rows["a training"]["holds"] is True
    assert rows["a suite"]["times_alone"] == 2.5
    assert rows["a suite"]["holds"] is False  # 3.01 in one round
    shown = script.show({"rows": list(rows.values()), "cores": 2}).splitlines()
    assert max(map(len, shown)) <= 80
    assert "training, an iteration, one busy, ms: too noisy to measure (spread 50%)" in shown
    assert [line.split()[-2:] for line in shown if "3.0 " in line] == [["NOT", "HOLD"]]


def started(*words: str) -> subprocess.Popen[str]:
    """Python with open pipes to it."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, *words], text=True, **pipes)


STARTS_ONE = """
import sys
sys.path.insert(0, sys.argv[1])
import bench_contention
with bench_contention.process(role=sys.argv[2]) as child:
    print(child.pid, flush=True)
    sys.stdin.read()
"""


@pytest.mark.slow
@pytest.mark.parametrize("role", ["spin", "suite"])
def test_a_neighbour_ends_when_its_parent_is_killed(role: str) -> None:
    with started("-c", STARTS_ONE, str(SCRIPTS), role) as parent:
        assert parent.stdout is not None
        neighbour = int(parent.stdout.readline())
        parent.kill()
        try:
            parent.communicate(timeout=60)  # until nobody has its stderr: the neighbour has it too
        except subprocess.TimeoutExpired:
            os.killpg(neighbour, signal.SIGKILL)
            raise


@pytest.mark.slow
def test_a_benchmark_that_is_asked_to_end_ends_its_neighbours(tiny_export: Path) -> None:
    words = ["--only", "onnx", "--beside", "two busy", "--seconds", "600", "--export", str(tiny_export)]
    with started(str(SCRIPTS / "bench_contention.py"), *words) as child:
        assert child.stderr is not None
        first = child.stderr.readline()
        child.send_signal(signal.SIGTERM)
        out, err = child.communicate(timeout=60)  # as above
    assert first == "bench_contention: ONNX Runtime, 64 images, alone, round 1 of 3\n"
    assert (child.returncode, out, err) == (130, "", "")


def test_a_generator_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPTS / "bench_contention.py"), "--only", "onnx", "--export", str(tmp_path)]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert re.fullmatch(r"bench_contention: .*generator\.onnx.*\n", refused.stderr)


@pytest.fixture
def called(
    scripts: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Calls a script's `main`, without a process: its exit code, stdout and stderr."""

    def call(script: str, *words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", [script, *words])
        try:
            code = importlib.import_module(script).main()
        except SystemExit as ended:  # argparse's
            code = ended.code
        return (code, *capsys.readouterr())

    return call


def test_an_unknown_case_or_neighbour_is_refused(called: Callable[..., tuple[int, str, str]]) -> None:
    for option, word in (("--only", "trainning"), ("--beside", "a circus"), ("--seconds", "0")):
        code, _, said = called("bench_contention", option, word)
        assert code == 2
        assert f"{option}: {word} is not " in said


@pytest.mark.parametrize("script", ["bench_training", "bench_data", "bench_sampling"])
def test_help_says_what_it_measures_and_a_wrong_word_is_refused(
    script: str, called: Callable[..., tuple[int, str, str]]
) -> None:
    code, shown, _ = called(script, "--help")
    assert code == 0
    assert "JSON object" in " ".join(shown.split())
    assert "--quick" in shown
    code, shown, said = called(script, "--device", "tpu")
    assert (code, shown) == (2, "")
    assert "--device tpu is not one of auto, cpu, cuda" in said


def test_rounds_become_a_median_with_its_spread(scripts: None) -> None:
    from bench_shared import measured

    quiet = measured([1.0, 1.1, 0.9])
    assert (quiet.median, quiet.value, quiet.reason) == (1.0, 1.0, None)
    assert quiet.error == quiet.spread == pytest.approx(0.1)  # of three half the range
    assert measured([2.0, 2.4]).error == pytest.approx(0.2)
    assert measured([1.0] * 19 + [50.0]).spread == 0  # one bad round of many is no noise
    assert quiet.times(1e3).row("ms") == {"ms": 1e3, "ms_spread": pytest.approx(0.1), "ms_reason": None}
    assert quiet.per(64).value == 64
    assert quiet.per(64).error == pytest.approx(6.4)
    assert quiet.per(64).spread == pytest.approx(0.1)
    once = measured([3.0])
    assert (once.value, once.error, once.spread, once.reason) == (3.0, None, None, None)


def test_rounds_too_far_apart_give_a_reason_in_place_of_a_number(scripts: None) -> None:
    import bench_shared

    assert bench_shared.NOISY == 0.25
    assert bench_shared.measured([2.0, 3.0, 2.1]).value == 2.1  # 0.5 of 2.1: 24%
    noisy = bench_shared.measured([1.0, 1.4, 2.0])
    assert noisy.value is None
    assert noisy.reason == "too noisy to measure (spread 36%)"
    assert noisy.per(64).value is noisy.times(2).value is None
    assert bench_shared.ratio(noisy, bench_shared.measured([1.0, 1.0])).reason == noisy.reason
    assert bench_shared.ratio(bench_shared.measured([3.0, 3.0]), noisy).value is None
    row = noisy.times(1e3).row("ms")
    assert row == {"ms": None, "ms_spread": pytest.approx(0.5 / 1.4), "ms_reason": noisy.reason}
    assert json.loads(json.dumps(row))["ms"] is None
    assert bench_shared.cell(row, "ms") == "noisy"
    assert bench_shared.reasons([row], ["ms"], lambda _: "a case") == [f"a case, ms: {noisy.reason}"]
    fine = bench_shared.measured([1.0, 1.0]).row("ms")
    assert (bench_shared.cell(fine, "ms"), bench_shared.reasons([fine], ["ms"], str)) == ("1.0", [])


def test_a_difference_has_the_error_of_both_and_is_never_chance(scripts: None) -> None:
    from bench_shared import Figure, difference, measured, ratio

    apart = difference(Figure(10.0, 0.3), Figure(4.0, 0.4))
    assert (apart.value, apart.error, apart.reason) == (6.0, 0.5, None)
    # two noisy numbers, each without a number of its own, may still lie apart
    assert difference(measured([80.0, 100.0, 140.0]), measured([10.0, 10.0, 10.0])).value == 90
    lost = difference(Figure(100.0, 4.0), Figure(96.0, 3.0))
    assert (lost.value, lost.error, lost.reason) == (None, 5.0, "not measured (4 ± 5)")
    negative = difference(Figure(96.0, 0.0), Figure(100.0, 0.0))
    assert (negative.value, negative.reason) == (None, "not measured (-4 ± 0)")
    assert difference(Figure(1.0, 0.0), Figure(1.0, 0.0)).row("ms") == {
        "ms": None,
        "ms_spread": None,
        "ms_reason": "not measured (0 ± 0)",
    }
    assert difference(measured([3.0]), measured([1.0])).reason == "not measured (one round has no error)"
    quotient = ratio(Figure(30.0, 0.9), Figure(10.0, 0.4))
    assert (quotient.value, quotient.error) == (3.0, pytest.approx(0.15))


def test_a_critic_step_of_a_busy_machine_is_not_measured(scripts: None) -> None:
    import bench_training

    config = Config(image_size=8, base_channels=2, batch_size=4, n_critic=5)
    case = bench_training.Case("ours fp32", config, torch.device("cpu"))
    peak = {"fp32": 1e9}
    case.spans = {5: [1.0, 1.0, 1.04], 1: [0.2, 0.2, 0.23]}
    row = case.row(peak)
    assert row["ms_iteration"] == 1000
    assert row["images_per_second"] == 20
    assert row["ms_critic_step"] == pytest.approx(200)  # 800 in four steps
    assert row["ms_critic_step_spread"] == pytest.approx(0.025 / 0.8)
    case.spans = {5: [0.5, 0.9, 1.6], 1: [0.9, 1.16, 1.4]}
    row = case.row(peak) | {"times_baseline": None, "peak_memory": None}
    assert row["ms_iteration"] is row["images_per_second"] is row["flops_per_second"] is row["share_of_peak"] is None
    assert row["ms_critic_step"] is None
    assert row["ms_critic_step_reason"].startswith("not measured (-65 ± ")
    result = {"peaks": peak, "cases": [row], "sweep": [row], "growth": {}, "track": None}
    shown = bench_training.show(result | {"batch": 4, "base_channels": 2})
    assert "ours fp32, ms iteration: too noisy to measure (spread 61%)" in shown
    assert "ours fp32, ms critic step: not measured (-65 ± " in shown


def test_what_is_too_noisy_to_sample_is_shown_without_numbers(scripts: None, tmp_path: Path) -> None:
    import bench_sampling

    row = {"file": "generator.onnx", "backend": "onnx", "batch": 1, "first_image_seconds": 1.0, "spread": 0.4}
    noisy = bench_sampling.without_noise(row | dict.fromkeys(bench_sampling.SPEEDS, 2.0))
    assert [noisy[key] for key in bench_sampling.SPEEDS] == [None] * 5
    loaded = {"spread": 0.1, "load_others": 1.2, "load_limit": 0.2, "steal": 0.1}
    busy = bench_sampling.without_noise(row | dict.fromkeys(bench_sampling.SPEEDS, 2.0) | loaded)
    assert busy["images_per_second"] is None
    assert busy["p50_ms_reason"] == "too noisy to measure (measured beside other work; others had 1.3 cores)"
    part = {f"{name}{end}": None for name in bench_sampling.PARTS for end in ("", "_spread", "_reason")}
    part |= {"count": 5, "generation_reason": "too noisy to measure (spread 40%)", "encoding, one thread": 2.0}
    command = {"file": "generator.onnx", "out": "tar", "wall": None, "wall_spread": 0.5, "cpu": 1.0}
    command |= {"wall_reason": "too noisy to measure (spread 50%)", "images_per_second": None, "peak_memory": None}
    result = {"peaks": {}, "generation": [noisy], "parts": part, "commands": [command], "cold": [], "memory": []}
    result["overlap"] = bench_sampling.overlap([command], part, Path("generator.onnx"))
    assert [(row["bound"], row["share"]) for row in result["overlap"]] == [(None, None)]
    shown = bench_sampling.show(result)
    assert "generator.onnx, batch 1, p50 ms: too noisy to measure (spread 40%)" in shown
    assert "a part alone, generation: too noisy to measure (spread 40%)" in shown
    assert "generator.onnx, tar, wall: too noisy to measure (spread 50%)" in shown


def test_data_too_noisy_to_measure_is_shown_without_numbers(scripts: None) -> None:
    import bench_data

    noisy = {"first_pass_seconds": None, "first_pass_seconds_spread": 0.3, "first_pass_seconds_reason": "too noisy"}
    quiet = {"second_pass_seconds": 0.2, "second_pass_seconds_spread": 0.1, "second_pass_seconds_reason": None}
    rates = {"images_per_second": None, "images_per_second_spread": 0.5, "images_per_second_reason": "too noisy"}
    result = {"jpegs": {"count": 9, "side": 16, "bytes": 100}, "image_size": 8, "machine": {"device": "cpu"}}
    shown = bench_data.show(result | noisy | quiet | {"batches": [{"batch": 64, "augmented": True, **rates}]})
    assert "caching, first pass seconds: too noisy" in shown
    assert "batch 64, augmented, images per second: too noisy" in shown
    assert re.search(r"second +0\.20 +10%", shown)


def test_the_latents_benchmark_has_a_row_a_width(
    scripts: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import bench_latents

    monkeypatch.setattr(bench_latents, "VALUES", 2048)
    assert bench_latents.main() == 0
    *shown, last = capsys.readouterr().out.splitlines()
    told = json.loads(last)["conditions"]
    assert told["loaded"] is None or told["loaded"] == (told["load_others"] + told["steal"] > told["load_limit"])
    assert shown[-1 - bool(told["loaded"])].startswith("other work: load average ")
    found = json.loads(last)["rows"]
    assert [row["latent_dim"] for row in found] == [64, 128, 512]
    assert all((row["rows_per_second"] is None) == (row["rows_per_second_reason"] is not None) for row in found)
    assert shown[0].split() == ["latent_dim", "rows/s", "spread"]


def test_a_benchmark_says_what_others_did_meanwhile(scripts: None) -> None:
    from bench_shared import conditions, conditions_line

    from wgan.serve.machine.load import Load

    quiet = conditions(Load(others=0.1, limit=0.2, steal=0.0), 0.25)
    assert conditions_line(quiet) == "other work: load average 0.2 before, 0.1 cores while measuring"
    busy = conditions(Load(others=1.1, limit=0.2, steal=0.1), 2.0)
    assert (quiet["loaded"], busy["loaded"], conditions(Load(), None)["loaded"]) == (False, True, None)
    assert conditions_line(busy).splitlines()[1] == "! over 0.2 cores: the figures are too low, run it again"
    assert conditions_line(conditions(Load(), None)) == "other work: load average - before, not known while measuring"


def test_growth_as_the_size_is_an_exponent_of_one(scripts: None) -> None:
    import bench_shared

    assert bench_shared.exponent([1, 2, 8], [3, 6, 24]) == pytest.approx(1)
    assert bench_shared.exponent([1, 2, 4], [1, 4, 16]) == pytest.approx(2)
    assert bench_shared.exponent([2, 2], [1, 3]) is None
    with pytest.raises(RuntimeError, match="-n 0 is not at least 1"):
        bench_shared.wgan("sample", "-n", "0")


@pytest.mark.slow
@pytest.mark.skipif(no_browser() is not None, reason=str(no_browser()))
@pytest.mark.skipif(ort_web.cached() is None, reason="no ONNX Runtime Web: `python scripts/web_runtime.py`")
def test_the_web_benchmark_measures_a_page(tmp_path: Path) -> None:
    (made,) = exporter.export(make_generator(), tmp_path, ["web"], max_batch=4)
    found, tables = run("bench_web.py", "--page", str(made.path), "--rounds", "1")
    assert found["first_image_seconds"] == found["first_image_slowest"] > 0
    assert found["browser_images_per_second"] > 0
    assert found["parity"]["passed"] is True
    assert found["folder_bytes"] > found["generator_bytes"] > 0
    assert found["browser"] in tables
