"""What only a GPU can show: `bash scripts/gpu_check.sh [names of checks]`.

Stdout is one table and, as its last line, one JSON object; progress goes to stderr.
Exit codes: 0 all held, 1 one did not, 2 there is no GPU here or no such check.
"""

import contextlib
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # tests.conftest makes the generator that parity is measured with

Figures = dict[str, Any]
CHECKS: dict[str, Callable[[], Figures]] = {}


class Skipped(Exception):
    """This machine lacks something that the check needs; its text says what."""


def check(name: str) -> Callable[[Callable[[], Figures]], Callable[[], Figures]]:
    """Registers a check: it returns its figures, raises Skipped, or fails by any other exception."""

    def register(function: Callable[[], Figures]) -> Callable[[], Figures]:
        CHECKS[name] = function
        return function

    return register


def require(*modules: str) -> None:
    """Skips the check where one of these modules is not installed."""
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise Skipped(f"{module} is not installed")


def milliseconds(work: Callable[[], object], repeats: int = 20, warmup: int = 5) -> float:
    """The median time of ``work`` on the GPU's own clock."""
    import torch

    for _ in range(warmup):
        work()
    spans = []
    for _ in range(repeats):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        start.record()
        work()
        end.record()
        spans.append((start, end))
    torch.cuda.synchronize()
    return float(statistics.median(start.elapsed_time(end) for start, end in spans))


@check("device")
def device() -> Figures:
    """What every other figure was measured on."""
    import torch

    properties = torch.cuda.get_device_properties(0)
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader", "--id=0"]
    try:
        driver = subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        driver = "unknown"
    return {
        "name": properties.name,
        "compute_capability": f"{properties.major}.{properties.minor}",
        "memory_gib": round(properties.total_memory / 2**30, 1),
        "driver": driver,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
        "torch": torch.__version__,
        "python": sys.version.split()[0],
    }


@check("matmul")
def matmul(size: int = 8192) -> Figures:
    """The matrix-product peak, TFLOP/s: what every other figure is to be held against."""
    import torch

    figures = {}
    before = torch.get_float32_matmul_precision()
    for name, dtype, precision in (
        ("fp32", torch.float32, "highest"),
        ("tf32", torch.float32, "high"),
        ("bf16", torch.bfloat16, "highest"),
        ("fp16", torch.float16, "highest"),
    ):
        torch.set_float32_matmul_precision(precision)
        # Random numbers: on zeros a GPU draws less power and clocks higher.
        a, b, out = (torch.randn(size, size, device="cuda", dtype=dtype) for _ in range(3))
        span = milliseconds(lambda a=a, b=b, out=out: torch.mm(a, b, out=out))  # type: ignore[misc]
        figures[f"{name}_tflops"] = round(2 * size**3 / (span * 1e-3) / 1e12, 1)
    torch.set_float32_matmul_precision(before)
    return figures


@check("training")
def training() -> Figures:
    """The `wgan-gp-64` preset's step (n_critic critic steps and the generator's) on random images."""
    import torch

    from wgan.training import config
    from wgan.training.trainer import Trainer

    class Reals:
        def next(self) -> tuple[Any, None]:
            shape = (settings.batch_size, settings.image_size, settings.image_size, settings.channels)
            return torch.randint(0, 256, shape, dtype=torch.uint8, device="cuda"), None

    settings = config.load("wgan-gp-64")
    trainer, reals = Trainer(settings, torch.device("cuda")), Reals()
    span = milliseconds(lambda: trainer.iterate(reals))  # type: ignore[arg-type]
    if not trainer.finite():
        raise AssertionError("a loss is not finite")
    return {
        "ms_a_step": round(span, 2),
        "images_per_second": round(settings.reals_per_step / (span * 1e-3)),
        "peak_memory_mib": round(torch.cuda.max_memory_allocated() / 2**20),
    }


@check("fast")
def fast() -> Figures:
    """Compiled and recorded steps against plain ones: do they train alike, and ms an iteration of `wgan-gp-64`."""
    import torch

    from wgan.training import config
    from wgan.training.trainer import Trainer

    class Reals:
        """The same uint8 batches on the device each time."""

        def __init__(self, settings: Any, batches: int = 10):
            size, random = settings.image_size, torch.Generator("cuda").manual_seed(1)
            shape = (batches, settings.batch_size, size, size, settings.channels)
            self.images = torch.randint(0, 256, shape, dtype=torch.uint8, device="cuda", generator=random)
            self.given = 0

        def next(self) -> tuple[Any, None]:
            self.given += 1
            return self.images[self.given % len(self.images)], None

    def moved(settings: Any, steps: int = 10) -> Any:
        """How far each weight is from where it began."""
        trainer, reals = Trainer(settings, torch.device("cuda")), Reals(settings)
        parameters = [*trainer.generator.parameters(), *trainer.critic.parameters()]
        begun = [p.detach().clone() for p in parameters]
        for _ in range(steps):
            trainer.iterate(reals)  # type: ignore[arg-type]
        if lines := trainer.fast.told():
            raise AssertionError(" ".join(lines))
        return torch.cat([(p.detach() - b).flatten() for p, b in zip(parameters, begun, strict=True)])

    def measured(settings: Any) -> Figures:
        torch.cuda.reset_peak_memory_stats()
        trainer, reals = Trainer(settings, torch.device("cuda")), Reals(settings)
        span = milliseconds(lambda: trainer.iterate(reals), warmup=12)  # type: ignore[arg-type]
        if lines := trainer.fast.told():
            raise AssertionError(" ".join(lines))
        if not trainer.finite():
            raise AssertionError("a loss is not finite")
        return {
            "ms": round(span, 2),
            "images_per_second": round(settings.reals_per_step / (span * 1e-3)),
            "peak_memory_mib": round(torch.cuda.max_memory_allocated() / 2**20),
        }

    off, graphs = {"compile": "off"}, {"compile": "off", "cuda_graphs": "auto"}
    compiled, both = dict[str, str](), {"cuda_graphs": "auto"}
    base, figures = config.load("wgan-gp-64"), Figures()
    for precision, most in (
        ("fp32", 0.1),
        ("bf16", 0.5),
    ):  # rounding turns gradients near zero, Adam makes steps of them
        settings = base.replace(precision=precision, batch_size=16, n_critic=2)
        plain = moved(settings.replace(**off))
        for name, tricks in (("graphs", graphs), ("compiled", compiled), ("compiled + graphs", both)):
            apart = float((moved(settings.replace(**tricks)) - plain).norm() / plain.norm())
            figures[f"{precision} {name}, apart from eager"] = f"{apart:.2e}"
            if not apart < most:
                raise AssertionError(f"{precision} {name} does not train as eager steps do: {figures}")
    for batch in (64, 512):
        for name, precision, tricks in (
            ("fp32 eager", "fp32", off),
            ("bf16 eager", "bf16", off),
            ("bf16 graphs", "bf16", graphs),
            ("bf16 compiled", "bf16", compiled),
            ("bf16 compiled + graphs", "bf16", both),
        ):
            settings = base.replace(precision=precision, batch_size=batch, **tricks)
            figures[f"batch {batch} {name}"] = measured(settings)
            torch.cuda.empty_cache()
    return figures


def each_artifact(measure: Callable[[Path], Any], precisions: tuple[str, ...]) -> Figures:
    """What ``measure`` finds of every artifact of a 64-channel generator, or why it could not be run."""
    require("onnx", "typer")
    from tests.make import make_generator
    from wgan.export import exporter
    from wgan.serve.errors import WganError

    figures: Figures = {}
    generator = make_generator(image_size=64, base_channels=64, latent_dim=128)
    with tempfile.TemporaryDirectory() as folder:
        for precision in precisions:
            for kind in exporter.ENDINGS:
                name = exporter.file_name(kind, precision)
                try:
                    (made,) = exporter.export(generator, Path(folder), [kind], precision=precision)
                    figures[name] = measure(made.path)
                except WganError as error:
                    figures[name] = f"not run: {error}"
    return figures


@check("parity")
def parity() -> Figures:
    """Every artifact that can run on this GPU, against PyTorch on the CPU."""

    def measure(path: Path) -> Figures:
        from wgan.export import exporter

        report = exporter.verify(path, device="cuda").metadata.parity or {}
        keys = ("max_abs", "mean_abs", "worst_psnr_db", "chunks_max_abs", "passed")
        return {key: report[key] for key in keys}

    figures = each_artifact(measure, ("fp32", "fp16"))
    if failed := [name for name, found in figures.items() if isinstance(found, dict) and not found["passed"]]:
        raise AssertionError(f"{', '.join(failed)} not equal to PyTorch: {figures}")
    return figures


@check("sampling")
def sampling() -> Figures:
    """Pure generation on each backend, images/s."""

    def measure(path: Path) -> int:
        from wgan.serve.backend import open_backend
        from wgan.serve.benchmark import measure_speed

        with open_backend(path, device="cuda") as backend:
            return round(measure_speed(backend, 256)["images_per_second"])

    return each_artifact(measure, ("fp32", "fp16"))


def images_per_second(generate: Callable[[int], object], batches: int, size: int) -> int:
    """The rate of ``generate(batches)``, after one that warms up."""
    generate(4)
    began = time.perf_counter()
    generate(batches)
    return round(batches * size / (time.perf_counter() - began))


@check("trt")
def trt() -> Figures:
    """A TensorRT engine for real: built, read back, and run with and without CUDA graphs, alone and overlapped.

    `alone` waits for each batch before its pixels are made, `overlapped` makes them while the next is computed.
    """
    require("onnx", "typer", "cuda")
    import numpy as np

    from tests.make import make_generator
    from wgan.export import exporter
    from wgan.serve import artifact
    from wgan.serve.errors import BackendUnavailable
    from wgan.serve.images import to_uint8
    from wgan.serve.latents import latents
    from wgan.serve.trt_backend import TrtBackend

    generator = make_generator(image_size=64, base_channels=64, latent_dim=128)
    figures: Figures = {}
    with tempfile.TemporaryDirectory() as folder:
        for precision in ("fp32", "fp16"):
            builds = []
            for _ in range(2):  # the second has the timing cache
                began = time.perf_counter()
                try:
                    (made,) = exporter.export(generator, Path(folder), ["trt"], precision=precision)
                except BackendUnavailable as error:
                    raise Skipped(str(error)) from None
                builds.append(round(time.perf_counter() - began, 1))
            engine = dict(made.metadata.engine or {})
            keys = ("runtime", "version", "compute_capabilities", "types_from", "half_layers")
            figures[f"{precision} engine"] = {"export_s": builds, **{key: engine[key] for key in keys}}
            if engine["types_from"] != "engine" or not made.passed:
                raise AssertionError(f"{made.path.name} was not run where it was built: {figures}, {made.failures}")
            z = latents(0, 600, generator.config.latent_dim)
            whole: Any = None
            for graphs in (True, False):
                with TrtBackend(artifact.read(made.path), "cuda", graphs=graphs) as backend:
                    for _ in range(3):  # plain, captured, launched
                        images = backend.run(z)
                        whole = images if whole is None else whole
                        if (difference := float(np.abs(images - whole).max())) > 1e-5:
                            raise AssertionError(f"{precision}: with graphs {graphs} images differ by {difference}")
                    if backend.notice is not None:
                        raise AssertionError(backend.notice)
                    for size, batches in ((1, 400), (64, 100), (256, 40)):
                        part = z[:size]
                        rates = {
                            "engine": lambda n, part=part: [None for _ in backend.stream([(part, None)] * n)],
                            "alone": lambda n, part=part: [to_uint8(backend.run(part)) for _ in range(n)],
                            "overlapped": lambda n, part=part: list(map(to_uint8, backend.stream([(part, None)] * n))),
                        }
                        name = f"{precision} batch {size} graphs {'on' if graphs else 'off'}, images/s"
                        figures[name] = {key: images_per_second(work, batches, size) for key, work in rates.items()}
    return figures


@check("engines")
def engines() -> Figures:
    """Engines that may run elsewhere too, proven by the process that built them; and what `--rebuild` makes up for."""
    require("onnx", "typer", "cuda")
    from tests.make import make_generator
    from wgan.export import exporter
    from wgan.serve.artifact import read, sidecar, write_sidecar
    from wgan.serve.backend import open_backend
    from wgan.serve.cli import main as wgan
    from wgan.serve.errors import BackendUnavailable, ConfigError
    from wgan.serve.tensorrt_build import BuildOptions
    from wgan.serve.tensorrt_fit import TRUST

    generator, figures = make_generator(), Figures()

    def proven(found: exporter.Exported, what: str) -> None:
        if not found.passed:
            raise AssertionError(f"{what}: not equal to PyTorch: {found.metadata.parity}, so far {figures}")
        figures[what] = (found.metadata.parity or {})["max_abs"]

    def says(plan: Path, **changes: object) -> None:
        metadata = read(plan).metadata
        write_sidecar(plan, metadata.replace(engine={**(metadata.engine or {}), **changes}))

    damages: dict[str, Callable[[Path], object]] = {
        "of another version": lambda plan: says(plan, version="1.0"),
        "that may not run": lambda plan: says(plan, version_compatible=True),
        "without its metadata": lambda plan: sidecar(plan).unlink(),
        "cut short": lambda plan: plan.write_bytes(plan.read_bytes()[:100]),
        "that is not there": lambda plan: plan.unlink(),
    }
    trusted = os.environ.pop(TRUST, None)
    try:
        with tempfile.TemporaryDirectory() as folder:
            plan = Path(folder) / exporter.file_name("trt", "fp32")
            for options in (BuildOptions(version_compatible=True), BuildOptions(hardware_compatible=True)):
                what = "version-compatible" if options.version_compatible else "hardware-compatible"
                try:
                    (made,) = exporter.export(generator, plan.parent, ["trt"], max_batch=64, engine_options=options)
                except BackendUnavailable as error:
                    raise Skipped(str(error)) from None
                except ConfigError as error:  # TensorRT-RTX has neither
                    figures[what] = f"not built: {error}"
                    continue
                proven(made, what)
                if options.version_compatible:
                    try:
                        open_backend(plan).close()
                    except BackendUnavailable as error:
                        if TRUST not in str(error):
                            raise
                    else:
                        raise AssertionError(f"{what}: loaded though nobody said that it is trusted")
                    os.environ[TRUST] = "1"
                    proven(exporter.verify(plan, device="cuda"), f"{what}, read back from its file")
                    del os.environ[TRUST]
            list(exporter.export(generator, plan.parent, ["onnx", "trt"], max_batch=64))
            out = str(Path(folder) / "images.npy")
            for what, damage in damages.items():
                damage(plan)
                with contextlib.redirect_stdout(sys.stderr):
                    code = wgan(["sample", "--model", str(plan), "-n", "100", "--rebuild", "--out", out])
                if code != 0:
                    raise AssertionError(f"--rebuild of an engine {what} ended with {code}")
                proven(exporter.verify(plan, device="cuda"), f"rebuilt: an engine {what}")
            before = plan.read_bytes()
            with contextlib.redirect_stdout(sys.stderr):
                code = wgan(["sample", "--model", str(plan), "-n", "1", "--rebuild", "--out", out])
            if code != 0 or plan.read_bytes() != before:
                raise AssertionError(f"--rebuild built an engine that fits, or ended with {code}")
    finally:
        os.environ.pop(TRUST, None)
        if trusted is not None:
            os.environ[TRUST] = trusted
    return figures


def benchmark(script: str, *words: str) -> Figures:
    """The JSON object that a benchmark of this folder ends with; its tables go to stderr."""
    command = [sys.executable, str(Path(__file__).with_name(script)), "--device", "cuda", *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    *tables, last = done.stdout.splitlines()
    print("\n".join(tables), file=sys.stderr, flush=True)
    found: Figures = json.loads(last)
    return found


def against(value: float | None, target: float) -> Figures:
    """A figure beside its target: a benchmark does not fail a check."""
    return {"measured": value, "target": target, "reached": value is not None and value >= target}


@check("training_bench")
def training_bench() -> Figures:
    """Training beside the seed document's own loop, and its share of the bf16 peak at a large batch."""
    sizes = ("--batches", "64,512", "--widths", "64")
    found = benchmark("bench_training.py", "--only", "compare", "--only", "sweep", *sizes)
    # a figure is null where it was too noisy to measure
    ratios = {row["case"]: round(row["times_baseline"], 2) for row in found["cases"] if row["times_baseline"]}
    large = [row for row in found["sweep"] if row["batch"] == 512 and row.get("share_of_peak")]
    shares = [row["share_of_peak"] for row in large if row["precision"] == "bf16"]
    # not those with a lazy penalty: they compute something else
    same = [ratio for name, ratio in ratios.items() if "penalty_every" not in name]
    return {
        "times the baseline, batch 64": ratios,
        "best": against(max(same, default=None), 8.0),
        "share of the bf16 peak, batch 512": against(max(shares, default=None), 0.25),
        "peaks_tflops": {name: round(value / 1e12, 1) for name, value in found["peaks"].items()},
    }


@check("sampling_bench")
def sampling_bench() -> Figures:
    """Generation on each backend and precision from seeds to 8-bit pixels."""
    require("onnx", "typer")
    found = benchmark("bench_sampling.py", "--batches", "64,256", "--count", "4096", "--memory", "1000,100000")
    best: dict[str, float] = {}
    for row in found["generation"]:
        if "error" not in row and row["uint8_images_per_second"]:  # null where it was too noisy to measure
            best[row["file"]] = max(best.get(row["file"], 0), round(row["uint8_images_per_second"]))
    half = [rate for name, rate in best.items() if ".fp16." in name]
    return {"to 8 bits, images/s": best, "fp16": against(max(half, default=None), 1e6)}


@check("tests")
def tests() -> Figures:
    """The tests marked gpu."""
    require("pytest")
    # Only files that have such tests: others may import what is not installed here.
    files = [str(path) for path in (ROOT / "tests").glob("test_*.py") if "mark.gpu" in path.read_text("utf-8")]
    if not files:
        raise Skipped("no test is marked gpu")
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-m", "gpu", f"--junitxml={report}", *sorted(files)]
        done = subprocess.run(command, cwd=ROOT, stdout=sys.stderr, check=False)
        suites = list(ElementTree.parse(report).iter("testsuite")) if report.exists() else []
    count = {key: sum(int(suite.get(key, 0)) for suite in suites) for key in ("tests", "failures", "errors", "skipped")}
    if done.returncode != 0:
        raise AssertionError(f"pytest ended with {done.returncode}: {count}")
    return {"passed": count["tests"] - count["skipped"], "skipped": count["skipped"]}


def run(name: str) -> Figures:
    """One check's row: status ("ok", "FAILED" or "skipped"), seconds, and figures or why."""
    print(f"gpu_check: {name} ...", file=sys.stderr, flush=True)
    start = time.perf_counter()
    row: Figures = {"status": "ok"}
    try:
        row["figures"] = CHECKS[name]()
    except Skipped as reason:
        row |= {"status": "skipped", "why": str(reason)}
    except Exception as error:
        traceback.print_exc()
        row |= {"status": "FAILED", "why": " ".join(f"{type(error).__name__}: {error}".split())}
    row["seconds"] = round(time.perf_counter() - start, 2)
    return row


def table(rows: dict[str, Figures]) -> str:
    """The rows as text: name, status, seconds, and a figure a line."""
    width = max(map(len, rows))
    lines = [f"{'check':{width}}  {'status':7}  {'s':>7}  figures"]
    for name, row in rows.items():
        figures = [f"{key} = {value}" for key, value in row.get("figures", {}).items()] or [row.get("why", "")]
        lines.append(f"{name:{width}}  {row['status']:7}  {row['seconds']:7.2f}  {figures[0]}")
        lines += [f"{'':{width}}  {'':7}  {'':7}  {figure}" for figure in figures[1:]]
    return "\n".join(lines)


def main(names: list[str]) -> int:
    """Runs the named checks, or all."""
    if unknown := [name for name in names if name not in CHECKS]:
        print(f"gpu_check: no check named {', '.join(unknown)}: there are {', '.join(CHECKS)}", file=sys.stderr)
        return 2
    if importlib.util.find_spec("torch") is None:
        print("gpu_check: torch is not installed", file=sys.stderr)
        return 2
    import torch

    if not torch.cuda.is_available():
        print("gpu_check: there is no NVIDIA GPU here that torch can use", file=sys.stderr)
        return 2
    rows = {name: run(name) for name in names or CHECKS}
    held = all(row["status"] != "FAILED" for row in rows.values())
    print(table(rows))
    print(json.dumps({"ok": held, "checks": rows}), flush=True)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
