"""`wgan bench`: its rows, its gate and its page. Never a time: this machine may be busy."""

import base64
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from wgan.cli import main
from wgan.serve.artifacts import artifact
from wgan.serve.base.errors import BackendError
from wgan.serve.bench import page as bench_page
from wgan.serve.bench import peak as bench_peak
from wgan.serve.bench import side_by_side as bench
from wgan.serve.bench import speed as benchmark
from wgan.serve.bench import text as bench_text
from wgan.serve.bench.process import peak_memory, run_apart
from wgan.training.config import Config
from wgan.training.step.flops import Passes, count_flops, generator_flops, step_flops

MODULE = "wgan.commands.bench"


@pytest.mark.slow
def test_each_artifact_and_batch_is_a_row_and_the_page_holds_it(
    here: Path, tiny_export: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    onnx, plan = str(tiny_export / "generator.onnx"), str(tiny_export / "generator.plan")
    words = ["bench", "--model", onnx, "--model", plan, "--batch-sizes", "4,1", "--seconds", "0.01", "--device", "cpu"]
    assert main([*words, "--at-least", "0.001", "--json"]) == 1  # the engine makes none
    found = json.loads(capsys.readouterr().out)
    rows = {(row["file"], row["batch"]): row for row in found["rows"]}
    assert list(rows) == [("generator.onnx", 1), ("generator.onnx", 4), ("generator.plan", 1), ("generator.plan", 4)]
    assert "CUDA only" in rows["generator.plan", 4]["error"]
    assert found["passed"] is False
    for batch in (1, 4):
        row = rows["generator.onnx", batch]
        assert row["parity"]["passed"] is True
        assert row["bytes"] == (tiny_export / "generator.onnx").stat().st_size
        assert row["flops"] == generator_flops(Config(image_size=32, base_channels=8, latent_dim=16))
        assert 0 < row["p50_ms"] <= row["p95_ms"]
        assert row["spread"] >= 0
        assert row["first_image_seconds"] > row["load_seconds"] > 0
        assert row["peak_memory"] > 2**24
        peak = found["peaks"]["CPU fp32"]
        assert row["share_of_peak"] == pytest.approx(row["flops"] * row["images_per_second"] / peak)
    page = (here / "bench.html").read_text()
    assert page.count("<polyline") == 4
    assert "CUDA only" in page
    body = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"(src|href)=(?![\"']data:)", body)
    saved = re.search(r'download="bench.csv" href="data:text/csv;base64,([^"]+)"', body)
    assert saved is not None
    assert (
        base64.b64decode(saved[1])
        .decode()
        .splitlines()[0]
        .startswith("file,variant,backend,precision,device,batch,p50_ms")
    )


@pytest.mark.slow
def test_the_gate_holds_where_every_artifact_is_fast_enough(
    here: Path, tiny_export: Path, bench_in_this_process: None
) -> None:
    words = ["bench", "--model", str(tiny_export / "generator.onnx"), "--batch-sizes", "2", "--seconds", "0.01"]
    assert main([*words, "--at-least", "0.001"]) == 0
    assert main([*words, "--at-least", "1e12"]) == 1


@pytest.mark.slow
def test_the_newest_runs_artifacts_are_measured(
    run: Path, here: Path, bench_in_this_process: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "--backends", "onnx", "--batch-sizes", "2", "--seconds", "0.01", "--out", "p.html"]) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    assert shown.count("generator.fp16.onnx") == shown.count("generator.onnx") == 2
    assert "generator.ts" not in shown
    assert (here / "p.html").is_file()


def case(path: str, batch: int, rate: float | None) -> bench.Row:
    row = {
        "file": Path(path).name,
        "path": path,
        "backend": "onnx",
        "precision": "fp32",
        "batch": batch,
        "bytes": 2**20,
    }
    row |= {"parity": {"passed": None, "max_abs": None, "device": None}}
    if rate is None:
        return row | {"error": "<b>no</b> runtime"}
    row |= {
        "images_per_second": rate,
        "uint8_images_per_second": rate,
        "p50_ms": 1.0,
        "p95_ms": 2.0,
        "spread": 0.1,
        "load_seconds": 0.5,
        "first_image_seconds": 1.5,
    }
    return row | {"device": "cpu", "peak_memory": 2**30, "flops": 100, "share_of_peak": 0.25, "peak": "CPU fp32"}


def test_rows_of_two_folders_stay_apart_and_their_best_batch_counts() -> None:
    rows = [case("a/generator.onnx", 1, 10.0), case("a/generator.onnx", 8, 40.0), case("b/generator.onnx", 1, None)]
    found = bench.Bench({"name": "CPU", "threads": 2, "when": "now"}, {"CPU fp32": 4e9, "CUDA fp32": None}, rows)
    best = {name: row and row["images_per_second"] for name, row in found.best().items()}
    assert best == {"a/generator.onnx": 40.0, "b/generator.onnx": None}
    shown = bench_text.to_text(found)
    assert "CPU fp32 4" in shown
    assert "CUDA" not in shown
    assert re.search(r"a/generator\.onnx +8 +1\.00 +2\.00 +40 +1,024 +25%", shown)
    assert "b/generator.onnx: <b>no</b> runtime" in shown
    page = bench_page.render(found)
    assert "<b>40.0</b> images/s<small>generator.onnx · onnx · fp32 · batch 8 · cpu</small>" in page
    assert "&lt;b&gt;no&lt;/b&gt; runtime" in page
    assert "<b>no" not in page


def test_a_page_of_nothing_that_could_be_measured_names_no_fastest() -> None:
    shown = bench_page.render(bench.Bench({"name": "CPU", "threads": 2, "when": "now"}, {}, [case("b.onnx", 1, None)]))
    assert "Fastest" not in shown
    assert "&lt;b&gt;no&lt;/b&gt; runtime" in shown


def test_latency_is_drawn_on_a_logarithmic_axis() -> None:
    rows = [case("a/generator.onnx", 1, 10.0), case("a/generator.onnx", 8, 40.0) | {"p50_ms": 100.0, "p95_ms": 110.0}]
    shown = bench_page.render(bench.Bench({"name": "CPU", "threads": 2, "when": "now"}, {}, rows))
    drawn = {
        found["title"]: found["log"]
        for found in map(json.loads, re.findall(r'<script type="application/json">(.*?)</script>', shown))
    }
    assert drawn["Latency of a batch, p50"] is drawn["Latency of a batch, p95"] is True
    assert drawn["Throughput"] is False


def test_a_row_that_is_too_noisy_is_marked() -> None:
    rows = [case("a/generator.onnx", 1, 10.0), case("a/generator.onnx", 8, 4000.0) | {"spread": 0.3}]
    found = bench.Bench({"name": "CPU", "threads": 2, "when": "now"}, {}, rows)
    shown = bench_text.to_text(found).splitlines()
    assert re.search(r" 8 +1\.00 +2\.00 +~4,000 ", shown[-2])
    assert re.search(r" 1 +1\.00 +2\.00 +10 ", shown[-3])
    assert shown[-1] == "~ too noisy to trust: the middle half of the batches spans over 25% of p50"
    assert "~" not in bench_text.to_text(bench.Bench(found.machine, {}, rows[:1]))
    page = bench_page.render(found)
    assert page.count("<b>noisy</b>") == 1
    assert "30% <b>noisy</b>" in page


def test_the_spread_is_that_of_the_middle_half() -> None:
    assert benchmark.middle_half([1.0, 2.0, 3.0, 4.0, 5.0]) == 2
    assert benchmark.spread([1.0, 2.0, 3.0, 4.0, 5.0]) == pytest.approx(2 / 3)
    assert benchmark.middle_half([1.0, 3.0]) == 1


def test_the_share_is_flops_over_the_peak_and_unknown_where_either_is() -> None:
    row = {"flops": 200, "images_per_second": 5.0}
    assert bench.share_of_peak(row, 4000.0) == 0.25
    assert bench.share_of_peak(row, None) is None
    assert bench.share_of_peak({"flops": None, "images_per_second": 5.0}, 4000.0) is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--batch-sizes", "1,x"], "--batch-size 1,x is not a list such as 1,16,64"),
        (["--batch-sizes", "0"], "--batch-size 0 is not"),
        (["--seconds", "0"], "--seconds 0 is outside its range"),
        (["--at-least", "-1"], "--at-least -1 is not more than 0"),
        (["--out", "page.pdf"], "--out page.pdf is not the name of an .html file"),
        (["--backends", "onnx,cafe"], "--backend cafe is not one of"),
        (["--device", "tpu"], "--device tpu is not one of"),
        (["--backends", "torch"], "no artifact for torch in what --model names"),
        (["--precision", "fp32"], "--precision is for checkpoints, and nothing here is"),
        (["--provider", "cpu,tpu"], "--provider tpu is not one of cpu, cuda, tensorrt"),
    ],
)
def test_a_wrong_option_is_one_line(
    words: list[str], said: str, here: Path, tiny_export: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "--model", str(tiny_export / "generator.onnx"), *words]) == 2
    shown = capsys.readouterr().err.splitlines()
    assert len(shown) == 1
    assert said in shown[0]


def test_a_file_that_nothing_can_run_is_one_line(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "broken.onnx").write_bytes(b"\x3a\x05abc")
    assert main(["bench", "--model", "broken.onnx", "--seconds", "0.01"]) == 2
    assert "nothing could be measured: broken.onnx: broken.onnx is damaged" in capsys.readouterr().err
    assert not (here / "bench.html").exists()


@pytest.mark.slow
def test_hostile_figures_lose_their_own_rows_and_no_others(
    here: Path, tiny_export: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = here / "export"
    shutil.copytree(tiny_export, folder)
    (folder / "generator.ts").unlink()
    plan = folder / "generator.plan"
    found = artifact.read(plan).metadata
    hostile: list[dict[str, Any]] = [
        {"source": {**found.source, "flops": "many"}},
        {"source": {**found.source, "flops": 10**400}},
        {"source": {**found.source, "flops": True}},
        {"parity": {"passed": True, "max_abs": "none", "device": "cpu"}},
        {"parity": {"passed": True, "max_abs": 1e-5, "device": ["<b>"]}},
        {"parity": {"passed": "yes"}},
        {"parity": {"passed": None, "reason": {}}},
        {"parity": {"passed": False, "gates": {"max_abs": "x"}}},
    ]
    for i, changes in enumerate(hostile):
        copy = folder / f"generator.{i}.plan"
        shutil.copy(plan, copy)
        artifact.write_sidecar(copy, found.replace(**changes))
    for name in ("generator.fp16.onnx", "generator.plan", "generator.pt", "generator.safetensors"):
        (folder / name).unlink()
    words = ["bench", "--model", "export", "--batch-sizes", "2", "--seconds", "0.01", "--device", "cpu"]
    assert main([*words, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["file"] for row in rows if "error" not in row] == ["generator.onnx"]
    errors = [row["error"] for row in rows if "error" in row]
    assert len(errors) == len(hostile)
    assert all("metadata field" in error for error in errors)


@pytest.mark.slow
def test_a_checkpoint_is_measured_in_each_precision_beside_a_folder_of_artifacts(
    here: Path, tiny_export: Path, bench_in_this_process: None, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["bench", "--model", str(tiny_export), "--backends", "onnx,torch", "--batch-sizes", "2"]
    words += ["--seconds", "0.01", "--device", "cpu", "--precision", "fp32,bf16", "--provider", "cpu"]
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    rows = {(row["file"], row["precision"]): row for row in found["rows"]}
    assert list(rows) == [
        ("generator.fp16.onnx", "fp16"),
        ("generator.onnx", "fp32"),
        ("generator.safetensors", "fp32"),  # an artifact has its own precision
        ("generator.pt", "fp32"),
        ("generator.pt", "bf16"),
    ]
    assert all("error" not in row for row in rows.values())
    assert all(row["device_memory"] is None for row in rows.values())
    assert rows["generator.onnx", "fp32"]["provider"] == "cpu"
    # each against a product of its own precision, but for ONNX Runtime, which computes fp16 in float32 on a CPU
    assert [row["peak"] for row in rows.values()] == ["CPU fp32"] * 4 + ["CPU bf16"]
    bf16 = rows["generator.pt", "bf16"]
    share = bf16["flops"] * bf16["images_per_second"] / found["peaks"]["CPU bf16"]
    assert bf16["share_of_peak"] == pytest.approx(share)
    assert bf16["parity"]["passed"] is True
    assert bf16["parity"]["max_abs"] > 1e-4
    assert rows["generator.pt", "fp32"]["parity"] is None
    page = (here / "bench.html").read_text()
    assert "generator.pt bf16" in page
    assert "<small>of CPU fp32</small>" in page


def test_a_case_without_a_peak_of_its_own_precision_is_held_against_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def apart(module: str, words: list[str]) -> dict[str, float | None]:
        asked.append(words)
        if words[2] == "fp16":
            raise BackendError("killed by signal 9")
        return {"peak": 4e9 if words[2] == "fp32" else None}

    monkeypatch.setattr(bench_peak, "run_apart", apart)
    peaks = bench_peak.Peaks("m")
    for precision in ("bf16", "fp16", "fp32"):
        row = {"device": "cpu", "backend": "torch", "precision": precision}
        assert peaks(row) == ("CPU fp32", 4e9)
    assert peaks({"device": "cuda", "backend": "onnx", "precision": "fp16"}) == ("CUDA fp16", None)
    assert peaks.rates == {"CPU bf16": None, "CPU fp32": 4e9, "CPU fp16": None, "CUDA fp16": None}
    assert len(asked) == 4  # each once


def test_memory_on_the_gpu_has_a_column_where_there_is_one() -> None:
    rows = [case("a/generator.onnx", 1, 10.0), case("a/generator.onnx", 8, 40.0)]
    machine = {"name": "CPU", "threads": 2, "when": "now"}
    assert "GPU MiB" not in bench_text.to_text(bench.Bench(machine, {}, rows))
    rows[1] |= {"device_memory": 3 * 2**30, "precision": "fp16"}
    found = bench.Bench(machine, {}, rows)
    shown = bench_text.to_text(found).splitlines()
    assert shown[-3].endswith("25%        -")
    assert shown[-2].endswith("25%*    3,072")
    assert shown[-1] == "* of CPU fp32's matrix product"
    assert "3.22\u00a0GB" in bench_page.render(found)


def test_a_page_escapes_what_a_file_says_of_its_parity() -> None:
    row = case("a.onnx", 1, 10.0) | {"parity": {"passed": True, "max_abs": 1e-5, "device": "<img>"}}
    page = bench_page.render(bench.Bench({"name": "CPU", "threads": 2, "when": "now"}, {}, [row]))
    assert "&lt;img&gt;" in page
    assert "<img>" not in page


def test_a_process_that_dies_says_how(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(here))
    (here / "dies.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    (here / "fails.py").write_text("raise RuntimeError('out of luck')")
    (here / "hangs.py").write_text("import time; time.sleep(60)")
    with pytest.raises(BackendError, match="killed by signal 9"):
        run_apart("dies", [])
    with pytest.raises(BackendError, match="ended with 1: RuntimeError: out of luck"):
        run_apart("fails", [])
    with pytest.raises(BackendError, match="not done after 1 s"):
        run_apart("hangs", [], patience=1)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_the_peak_of_memory_is_the_process_s_own() -> None:
    ballast = bytearray(300 * 2**20)
    ballast[::4096] = b"x" * len(ballast[::4096])
    code = "from wgan.serve.bench.process import peak_memory; print(peak_memory())"
    child = int(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
    assert child < 200 * 2**20 < 300 * 2**20 < (peak_memory() or 0)
    del ballast


def test_flops_are_those_of_the_layers_shapes() -> None:
    # 64 pixels: DCGAN's networks. Two FLOPs a weight and position it is applied at
    config = Config(batch_size=2)
    passes = Passes(config)
    channels = (512, 256, 128, 64, 3)
    layers = 2 * 128 * 512 * 16  # the projection
    for i in range(4):
        layers += 2 * 16 * channels[i] * channels[i + 1] * (4 * 2**i) ** 2
    assert generator_flops(config) == layers
    assert count_flops(passes.generate) == 2 * layers
    every, never = count_flops(passes.critic_step), count_flops(lambda: passes.critic_step(penalty=False))
    update = count_flops(passes.generator_step)
    assert step_flops(passes) == 5 * every + update
    lazy = step_flops(Passes(config.replace(penalty_every=4)))
    assert lazy == pytest.approx(5 * (every + 3 * never) / 4 + update)


def test_sampling_onnx_loads_no_more_than_it_needs(here: Path, tiny_export: Path) -> None:
    words = [
        "sample",
        "--backend",
        "onnx",
        "-n",
        "64",
        "--out",
        "a.npy",
        "--model",
        str(tiny_export / "generator.onnx"),
    ]
    code = "import sys; from wgan.cli import main; code = main(sys.argv[1:]); print(*sys.modules); sys.exit(code)"
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    modules = set(done.stdout.splitlines()[-1].split())
    heavy = {
        "torch",
        "torchvision",
        "onnx",
        "yaml",
        "scipy",
        "tensorrt",
        "tensorrt_rtx",
        "wgan.training",
        "wgan.export",
    }
    assert not modules & heavy
    assert "onnxruntime" in modules
    assert len(modules) < 528, len(modules)  # of which storage, whose verbs paths go by too, is a handful


def test_a_products_size_is_one_that_is_quick() -> None:
    assert bench_peak.quick_size(lambda size: 0.0, 2048) == 2048
    assert bench_peak.quick_size(lambda size: 1.0, 2048) == 256
    assert bench_peak.quick_size(lambda size: size / 512 * bench_peak.LONG, 2048) == 512
    assert bench_peak.quick_size(lambda size: 0.0, 100) == 100


def test_why_a_file_was_not_measured_is_one_line_with_the_batches_that_it_is_about() -> None:
    rows = [{"batch": 1, "error": "no GPU"}, {"batch": 16, "error": "no GPU"}, {"batch": 64}]
    assert bench_text._errors("g.plan", rows) == ["g.plan, batch 1, 16: no GPU"]
    assert bench_text._errors("g.plan", rows[:2]) == ["g.plan: no GPU"]
    assert bench_text._errors("g.plan", rows[2:]) == []
