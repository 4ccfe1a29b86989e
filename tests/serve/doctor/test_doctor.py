"""The doctor's findings on machines that are made up: packages, drivers and GPUs as each test says."""

import ctypes
import importlib.metadata
import importlib.util
import json
import platform
import subprocess
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from wgan import models
from wgan.cli import main
from wgan.serve.artifacts.formats import BACKENDS, format_named
from wgan.serve.backends import gaps
from wgan.serve.backends.browser.devtools import Browser
from wgan.serve.backends.onnxrt import providers as onnx_providers
from wgan.serve.backends.onnxrt import verdict as onnx_verdict
from wgan.serve.backends.open import open_backend
from wgan.serve.backends.pytorch import verdict as torch_verdict
from wgan.serve.backends.trt.api import load_tensorrt
from wgan.serve.base import install
from wgan.serve.base.errors import BackendError, BackendUnavailable
from wgan.serve.bench.precision import Speeds
from wgan.serve.doctor import diagnosis as doctor
from wgan.serve.doctor import text as doctor_text
from wgan.serve.doctor import verdicts
from wgan.serve.machine import gpu, installer
from wgan.serve.machine import hardware as machine

SLIM = {"wgan": "0.1.0", "numpy": "2.4.6", "packaging": "26.3", "pillow": "13.0.0", "rich": "15.0", "typer": "0.29.2"}
FULL = SLIM | {"onnxruntime-gpu": "1.31.1", "torch": "2.15.0", "torchvision": "0.29.2", "onnx": "1.23.2",
               "pyyaml": "6.0.3", "tensorrt-rtx": "1.7.1", "cuda-bindings": "13.5.0"}  # fmt: skip
MODULES = {"onnxruntime-gpu": "onnxruntime", "pyyaml": "yaml", "tensorrt-rtx": "tensorrt_rtx"}
H100 = ("NVIDIA H100 80GB HBM3", (9, 0), 80 * 2**30)
L40 = ("NVIDIA L40", (8, 9), 48 * 2**30)
RTX_LISTS = ("SM75", "SM80", "SM86", "SM89", "SM120", "SM121", "CURRENT")


class FakeDriver:
    """libcuda and libnvidia-ml as ctypes would call them."""

    def __init__(self, gpus: list[tuple[str, tuple[int, int], int]], cuda: int = 13020, init: int = 0):
        self.gpus, self.cuda, self.init = gpus, cuda, init

    def cuInit(self, flags: int) -> int:
        return self.init

    def cuGetErrorName(self, status: int, out: Any) -> int:
        names = {100: b"CUDA_ERROR_NO_DEVICE", 803: b"CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", 999: b"CUDA_ERROR_UNKNOWN"}
        out._obj.value = names.get(status)
        return 0 if status in names else 1

    def cuDriverGetVersion(self, out: Any) -> int:
        out._obj.value = self.cuda
        return 0

    def cuDeviceGetCount(self, out: Any) -> int:
        out._obj.value = len(self.gpus)
        return 0

    def cuDeviceGet(self, out: Any, index: int) -> int:
        out._obj.value = index
        return 0

    def cuDeviceGetName(self, out: Any, size: int, device: Any) -> int:
        out.value = self.gpus[device.value][0].encode()
        return 0

    def cuDeviceGetAttribute(self, out: Any, attribute: int, device: Any) -> int:
        out._obj.value = self.gpus[device.value][1][{75: 0, 76: 1}[attribute]]
        return 0

    def cuDeviceTotalMem_v2(self, out: Any, device: Any) -> int:
        out._obj.value = self.gpus[device.value][2]
        return 0

    def nvmlInit_v2(self) -> int:
        return 0

    def nvmlShutdown(self) -> int:
        return 0

    def nvmlSystemGetDriverVersion(self, out: Any, size: int) -> int:
        out.value = b"580.82.07"
        return 0


class FakeRuntime(SimpleNamespace):
    """The module onnxruntime, whose CUDA provider starts or is dropped in silence."""

    def __init__(self, cuda: bool = True, starts: bool = True):
        provider = [onnx_providers.CUDA] if cuda else []
        got = provider if starts else []

        class Session:
            def __init__(self, model: bytes, providers: list[str]):
                assert providers == [onnx_providers.CUDA]

            def get_providers(self) -> list[str]:
                return [*got, "CPUExecutionProvider"]

        super().__init__(
            __version__="1.31.1",
            __file__="/none/onnxruntime/__init__.py",
            cuda_version="13.0",
            get_available_providers=lambda: [*provider, "CPUExecutionProvider"],
            set_default_logger_severity=lambda level: None,
            preload_dlls=lambda: print("Please follow https://onnxruntime.ai to install CUDA."),
            InferenceSession=Session,
        )


class FakeCuda:
    """cuda-bindings, with which CUDA starts or does not."""

    fails: str | None = None

    def stream(self) -> None:
        if self.fails is not None:
            raise BackendError(f"CUDA: cudaStreamCreateWithFlags failed with {self.fails}")

    def close(self) -> None:
        pass


Pretend = Callable[..., None]


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Pretend:
    """Makes this machine another: its packages, its driver, its ONNX Runtime."""
    monkeypatch.chdir(tmp_path)
    ours = importlib.metadata.requires("wgan")
    (tmp_path / "checkout").mkdir()
    (tmp_path / "checkout" / "pyproject.toml").write_text("")
    monkeypatch.setattr(install, "CODE", tmp_path / "checkout")
    monkeypatch.setattr(installer, "_on_path", lambda program: True)
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "version.py").write_text("cuda: Optional[str] = '13.2'\n")

    def make(packages: dict[str, str], driver: FakeDriver | None = None, runtime: Any = None, pip: bool = True) -> None:
        modules = {MODULES.get(name, name) for name in packages} | ({"pip"} if pip else set())

        def version(name: str) -> str:
            if name not in packages:
                raise importlib.metadata.PackageNotFoundError(name)
            return packages[name]

        def requires(name: str) -> list[str] | None:
            version(name)
            return {"wgan": ours, "torchvision": ["numpy", "torch==2.15.0"]}.get(name)

        def find_spec(name: str) -> ModuleSpec | None:
            spec = ModuleSpec(name, None, origin=str(tmp_path / name / "__init__.py"))
            return spec if name in modules else None

        def library(name: str) -> FakeDriver:
            if driver is None:
                raise OSError(name)
            return driver

        monkeypatch.setattr(importlib.metadata, "version", version)
        monkeypatch.setattr(importlib.metadata, "requires", requires)
        monkeypatch.setattr(importlib.util, "find_spec", find_spec)
        for module in (onnx_verdict, torch_verdict, installer):
            monkeypatch.setattr(module, "find_spec", find_spec)
        monkeypatch.setattr(ctypes, "CDLL", library)
        browser = tmp_path / "chromium"
        browser.write_text("#!/bin/sh\necho 'Chromium 150.0.7871.100 built on Debian'\n")
        browser.chmod(0o755 if packages.keys() >= FULL.keys() else 0o644)
        monkeypatch.setenv("WGAN_BROWSER", str(browser))
        monkeypatch.setattr(machine, "nvidia_on_the_bus", lambda: False)
        monkeypatch.setattr(doctor, "products_apart", lambda: None)
        monkeypatch.setitem(sys.modules, "onnxruntime", runtime or FakeRuntime())
        monkeypatch.setattr(gaps, "Cuda", FakeCuda)
        listed = SimpleNamespace(__members__=dict.fromkeys(RTX_LISTS))
        api = SimpleNamespace(__name__="tensorrt_rtx", __version__="1.7.1", ComputeCapability=listed)
        monkeypatch.setitem(sys.modules, "tensorrt_rtx", api)

    return make


def verdict(found: doctor.Diagnosis, what: str, device: str) -> verdicts.Verdict:
    (row,) = (row for row in found.backends if (row.what, row.device) == (what, device))
    return row


def test_a_slim_machine_without_a_runtime_is_told_what_to_install(pretend: Pretend) -> None:
    pretend(SLIM)
    found = doctor.examine(Path("runs"))
    assert not any(row.runs for row in found.backends)
    fixes = {(row.what, row.device): row.fix for row in found.backends}
    assert fixes["onnx", "cpu"] == "pip install -e './checkout[onnx-cpu]'"
    assert fixes["torchscript", "cpu"] == fixes["torch", "cpu"] == "pip install -e './checkout[train]'"
    assert fixes["trt", "cuda"] == "pip install -e './checkout[trt-rtx]'"
    assert found.troubles == []


@pytest.mark.parametrize("gpus", [[], [L40]])
def test_sample_names_the_command_that_the_doctor_names(
    pretend: Pretend, monkeypatch: pytest.MonkeyPatch, tiny_export: Path, gpus: list[Any]
) -> None:
    pretend(SLIM, FakeDriver(gpus) if gpus else None)
    monkeypatch.setattr(models, "find_spec", importlib.util.find_spec)
    for module in ("onnxruntime", "torch"):
        monkeypatch.setitem(sys.modules, module, None)
    for row in doctor.examine(Path("runs")).backends:
        file = tiny_export / format_named(BACKENDS[row.what].formats[0]).file
        opens = {"trt": load_tensorrt, "browser": Browser}.get(row.what)
        with pytest.raises(BackendUnavailable) as caught:
            opens() if opens else models.open_model(file, row.what, row.device)
        assert row.fix == caught.value.mend
        assert row.fix is not None
        assert row.fix.startswith("install Chromium" if row.what == "browser" else "pip install -e './checkout[")


def test_an_environment_without_pip_is_told_uvs_command(pretend: Pretend, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(SLIM, pip=False)
    monkeypatch.setenv("VIRTUAL_ENV", sys.prefix)
    assert verdict(doctor.examine(Path("runs")), "onnx", "cpu").fix == "uv pip install -e './checkout[onnx-cpu]'"


def test_a_gpu_machine_with_everything_runs_everything(pretend: Pretend) -> None:
    pretend(FULL, FakeDriver([L40]))
    found = doctor.examine(Path("runs"))
    assert all(row.runs for row in found.backends)
    assert found.driver == gpu.Driver("580.82.07", (13, 2), (gpu.Gpu(*L40),))
    assert verdict(found, "torch", "cuda").why == "torch 2.15.0, CUDA 13.2"
    assert verdict(found, "browser", "cpu").why == "Chromium 150.0.7871.100"
    text = doctor_text.as_text(found)
    assert "NVIDIA L40, compute capability 8.9, 48 GiB" in text
    assert "NVIDIA 580.82.07, runs CUDA up to 13.2" in text


def test_tensorrt_rtx_does_not_run_on_a_gpu_that_it_does_not_list(pretend: Pretend) -> None:
    pretend(FULL, FakeDriver([H100]))
    row = verdict(doctor.examine(Path("runs")), "trt", "cuda")
    assert (row.runs, row.fix) == (False, "pip install -e './checkout[trt]'")
    assert row.why == "tensorrt_rtx 1.7.1 lists no compute capability 9.0"


def test_a_gpu_that_tensorrt_rtx_has_no_float32_for_is_to_be_tried(
    pretend: Pretend, capsys: pytest.CaptureFixture[str]
) -> None:
    pretend(FULL, FakeDriver([("NVIDIA T4", (7, 5), 2**34)]))
    assert main(["doctor", "--backend", "trt"]) == 1
    out = capsys.readouterr().out
    assert "nobody knows yet, so try it:\n  trt on cuda\n      wgan export --format trt --precision fp16\n" in out
    assert out.endswith("trt is not known to run here\n")
    assert main(["doctor", "--backend", "trt", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["asked"]["runs"] is None
    row = verdict(doctor.examine(Path("runs")), "trt", "cuda")
    assert (row.runs, row.fix) == (None, "wgan export --format trt --precision fp16")


@pytest.mark.parametrize(
    ("error", "fix"),
    [
        ("cudaErrorCallRequiresNewerDriver", gaps.GET_DRIVER),
        ("cudaErrorDevicesUnavailable", gaps.SEE_GPU),
        ("cudaErrorMemoryAllocation", gaps.SEE_GPU),
    ],
)
def test_cuda_that_does_not_start_runs_nothing(
    pretend: Pretend, monkeypatch: pytest.MonkeyPatch, error: str, fix: str
) -> None:
    pretend(FULL, FakeDriver([L40]))
    monkeypatch.setattr(FakeCuda, "fails", error)
    for row in doctor.examine(Path("runs")).backends:
        assert row.runs is (row.device == "cpu")
        if not row.runs:
            assert f"failed with {error} on this driver" in row.why
            assert row.fix == fix


def test_both_wheels_of_onnx_runtime_are_a_clash(pretend: Pretend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIRTUAL_ENV", sys.prefix)
    pretend(FULL | {"onnxruntime": "1.31.1"}, FakeDriver([H100]))
    (trouble,) = doctor.examine(Path("runs")).troubles
    assert "overwrite each other" in trouble.why
    assert trouble.fix == "pip uninstall -y onnxruntime onnxruntime-gpu && pip install onnxruntime-gpu"
    pretend(FULL | {"onnxruntime": "1.31.1"}, pip=False)
    (trouble,) = doctor.examine(Path("runs")).troubles
    assert trouble.fix == "uv pip uninstall onnxruntime onnxruntime-gpu && uv pip install onnxruntime"


def test_versions_outside_the_bounds_are_named(pretend: Pretend) -> None:
    pretend(FULL | {"torch": "2.16.1", "numpy": "1.26.4"})
    troubles = {trouble.why: trouble.fix for trouble in doctor.examine(Path("runs")).troubles}
    assert troubles == {
        "numpy 1.26.4 is outside >=2.0, which wgan was tested with": "pip install 'numpy>=2.0'",
        "torch 2.16.1 is outside <2.16,>=2.11, which wgan was tested with": "pip install 'torch<2.16,>=2.11'",
        "torchvision 0.29.2 is made for torch ==2.15.0, not 2.16.1":
            "pip install --force-reinstall torchvision 'torch==2.15.0'",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("driver", "says"),
    [
        (FakeDriver([], init=100), "the driver shows no GPU"),
        (FakeDriver([]), "the driver shows no GPU"),
        (FakeDriver([], init=803), "updated under the running system"),
        (FakeDriver([], init=999), "does not start: CUDA_ERROR_UNKNOWN"),
        (FakeDriver([], init=4711), "does not start: CUDA error 4711"),
        (FakeDriver([H100], cuda=12040), "driver 580.82.07 is too old for CUDA 13"),
        (FakeDriver([("Tesla P100", (6, 0), 2**34)]), "compute capability is 6.0, TensorRT needs 7.5"),
    ],
)
def test_what_keeps_a_gpu_from_running_an_engine_is_said(pretend: Pretend, driver: FakeDriver, says: str) -> None:
    pretend(FULL, driver)
    row = verdict(doctor.examine(Path("runs")), "trt", "cuda")
    assert not row.runs
    assert says in row.why
    assert row.fix


def test_a_gpu_on_the_bus_without_a_driver_is_wrong(pretend: Pretend, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(FULL)
    monkeypatch.setattr(machine, "nvidia_on_the_bus", lambda: True)
    monkeypatch.setattr(machine, "in_container", lambda: False)
    assert "nvidia.com/drivers" in doctor.examine(Path("runs")).troubles[0].fix
    monkeypatch.setattr(machine, "in_container", lambda: True)
    assert "docker run --gpus all" in doctor.examine(Path("runs")).troubles[0].fix


@pytest.mark.parametrize(
    ("runtime", "why", "fix"),
    [
        (FakeRuntime(cuda=False), "has no CUDA", "pip uninstall -y onnxruntime && pip install -e './checkout[onnx]'"),
        (
            FakeRuntime(starts=False),
            "CUDA lacks a library of CUDA or cuDNN",
            "pip install 'onnxruntime-gpu[cuda,cudnn]'",
        ),
        (SimpleNamespace(), "does not load", "pip install --force-reinstall onnxruntime-gpu"),
    ],
)
def test_what_keeps_onnx_runtime_from_the_gpu_is_found_by_trying(
    pretend: Pretend, capsys: pytest.CaptureFixture[str], runtime: Any, why: str, fix: str
) -> None:
    pretend(FULL, FakeDriver([H100]), runtime)
    row = verdict(doctor.examine(Path("runs")), "onnx", "cuda")
    assert (row.runs, row.fix) == (False, fix)
    assert why in row.why
    assert capsys.readouterr().out == ""  # what the runtime prints would spoil --json


def test_the_file_that_a_provider_is_tried_with_is_an_onnx_file() -> None:
    import numpy as np
    import onnxruntime as ort

    session = ort.InferenceSession(onnx_providers.IDENTITY, providers=["CPUExecutionProvider"])
    assert session.run(None, {"x": np.full(1, 3.0, np.float32)})[0].tolist() == [3.0]


@pytest.mark.parametrize("gpus", [[], [H100, ("NVIDIA RTX PRO 6000 Blackwell Workstation Edition", (12, 0), 2**36)]])
def test_the_text_fits_80_columns_but_for_commands(
    pretend: Pretend, capsys: pytest.CaptureFixture[str], gpus: list[Any]
) -> None:
    pretend(FULL | {"onnxruntime": "1.31.1", "torch": "2.16.1"}, FakeDriver(gpus) if gpus else None)
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in lines if not line.startswith("      ")) <= 80
    assert any(line.split() == ["torch", "2.16.1", "<2.16,>=2.11", "train"] for line in lines)


def test_asking_for_a_backend_decides_the_exit_code(pretend: Pretend, capsys: pytest.CaptureFixture[str]) -> None:
    pretend(FULL)
    for words, code in ((["onnx"], 0), (["onnx", "--device", "cuda"], 1), (["trt"], 1)):
        assert main(["doctor", "--backend", *words, "--json"]) == code
        assert json.loads(capsys.readouterr().out)["asked"]["runs"] is (code == 0)
    assert main(["doctor", "--backend", "trt"]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "trt does not run here"
    for words in (["--backend", "tflite"], ["--device", "cuda"], ["--backend", "onnx", "--device", "tpu"]):
        assert main(["doctor", *words]) == 2


def test_a_processor_is_read_as_linux_writes_it(tmp_path: Path) -> None:
    info = tmp_path / "cpuinfo"
    for text, name in (
        ("processor : 0\nmodel name : EPYC\nflags : fpu\n\nprocessor : 1\nmodel name : EPYC\n", "EPYC"),
        ("Features : fp asimd bf16\n", platform.machine()),
    ):
        info.write_text(text)
        found = machine.cpu(info)
        assert found.name == name
        assert found.threads >= 1
    assert machine.cpu(tmp_path / "none").name


def test_products_are_said_with_their_ratio(
    pretend: Pretend, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pretend(FULL)
    slow = Speeds("cpu", {"fp32": 0.006, "bf16": 0.012}, flops=2e9)
    monkeypatch.setattr(doctor, "products_apart", lambda: [slow])
    assert main(["doctor"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "matrix products in float32 333 GFLOP/s a core, in bfloat16 167 (0.5 times): precision=fp32" in said
    assert main(["doctor", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["products"]
    assert (row["device"], row["times"], row["faster"]) == ("cpu", {"fp32": 1, "bf16": 0.5}, "fp32")
    fast = Speeds("cuda", {"fp32": 0.02, "bf16": 0.002, "fp16": 0.0019}, flops=1e12)
    monkeypatch.setattr(doctor, "products_apart", lambda: [slow, fast])
    assert main(["doctor"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "speed CPU: matrix products" in said
    assert "CUDA: matrix products in float32 50,000 GFLOP/s, in bfloat16 500,000 (10.0 times), in float16" in said
    assert said.count("precision=auto times whether the work gains too") == 1


def test_products_that_cannot_be_timed_are_said_and_a_check_of_another_runtime_does_not_wait(
    pretend: Pretend, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pretend(FULL)

    def broken() -> None:
        raise BackendError("ended with 1: ImportError: libtorch.so")

    monkeypatch.setattr(doctor, "products_apart", broken)
    assert main(["doctor"]) == 0
    assert "not measured: ended with 1: ImportError: libtorch.so" in capsys.readouterr().out
    assert main(["doctor", "--backend", "onnx"]) == 0
    assert "not measured" not in capsys.readouterr().out


def test_the_bus_shows_nvidias_displays_alone(tmp_path: Path) -> None:
    for number, (vendor, kind) in enumerate([("0x10de", "0x040300"), ("0x8086", "0x030000")]):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "vendor").write_text(vendor + "\n")
        (tmp_path / str(number) / "class").write_text(kind + "\n")
    assert not machine.nvidia_on_the_bus(tmp_path)
    (tmp_path / "0" / "class").write_text("0x030200\n")
    assert machine.nvidia_on_the_bus(tmp_path)
    assert not machine.nvidia_on_the_bus(tmp_path / "none")


def test_a_folder_that_cannot_be_written_and_a_full_disk_are_wrong(
    pretend: Pretend, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pretend(FULL)
    (tmp_path / "runs").write_text("a file")
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda path: SimpleNamespace(free=5 * 10**8))
    says = [trouble.why for trouble in doctor.examine(Path("runs")).troubles]
    assert says == ["runs/ cannot be written", "0.5 GB are free under runs/"]


@pytest.mark.slow
def test_the_doctor_is_quick_and_loads_no_torch() -> None:
    script = "import sys; from wgan.cli import main; code = main(['doctor', '--json']); \
assert not {'torch', 'torchvision'} & set(sys.modules), 'torch'; sys.exit(code)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout)["products"][0]  # timed by a process of its own
    assert row["device"] == "cpu"
    assert row["times"]["fp32"] == 1
    assert row["faster"] in ("fp32", "bf16")
    assert {row["what"] for row in json.loads(done.stdout)["backends"]} == set(BACKENDS)


@pytest.mark.gpu
@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("generator.onnx", "onnx"),
        ("generator.ts", "torchscript"),
        ("generator.plan", "trt"),
        ("generator.safetensors", "torch"),
    ],
)
def test_on_a_gpu_the_verdict_is_what_happens(tiny_export: Path, name: str, what: str) -> None:
    found = doctor.examine(Path("runs"))
    assert found.driver is not None
    assert found.driver.gpus
    try:
        open_backend(tiny_export / name, device="cuda").close()
        opens = True
    except BackendError:
        opens = False
    assert found.runs(what, "cuda") in (opens, None)
