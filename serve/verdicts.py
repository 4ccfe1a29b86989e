"""Whether each backend runs here, on each device: what it runs with, or what is missing and what mends it."""

import io
import re
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from wgan.serve import machine, onnx_runtime
from wgan.serve.errors import BackendUnavailable
from wgan.serve.gpu import Driver
from wgan.serve.requirements import installed, installer, uninstaller
from wgan.serve.tensorrt_api import load_tensorrt

CUDA = "CUDAExecutionProvider"
OLDEST_DRIVER = {12: 525, 13: 580}  # of each CUDA's compatibility table, Linux
OLDEST_GPU = (7, 5)  # compute capability that TensorRT 10.8 and later and TensorRT-RTX ask for
GET_DRIVER = "install NVIDIA's driver from https://www.nvidia.com/drivers"

# An ONNX file (IR 6, opset 11) whose graph is y = Identity(x), float32 (1,): what a provider is tried with.
IDENTITY = bytes.fromhex(
    "080612003a370a100a017812017922084964656e746974791201675a0f0a0178120a0a08080112040a020801"
    "620f0a0179120a0a08080112040a02080142040a00100b"
)


@dataclass(frozen=True)
class Gap:
    """What is missing, and the command that mends it."""

    why: str
    fix: str


@dataclass(frozen=True)
class Verdict:
    """Whether something runs on one device: with what, or why not and what mends it."""

    what: str
    device: str
    runs: bool
    why: str
    fix: str | None = None


def backends(driver: Driver | None) -> list[Verdict]:
    """A verdict for each backend on each device that it knows."""
    found = []
    for name, look in (("onnx", _onnx), ("torchscript", _torchscript), ("torch", _torch), ("trt", _trt)):
        for device in ("cpu", "cuda") if name != "trt" else ("cuda",):
            result = look(device, driver)
            if isinstance(result, Gap):
                found.append(Verdict(name, device, False, result.why, result.fix))
            else:
                found.append(Verdict(name, device, True, result))
    return found


def gpu_gap(driver: Driver | None) -> Gap | None:
    """Why nothing can use CUDA here, whatever is installed."""
    if driver is None:
        if not machine.nvidia_on_the_bus():
            return Gap("no NVIDIA GPU", "use a machine with an NVIDIA GPU")
        if machine.in_container():
            return Gap("this container does not see the GPU", "start it with `docker run --gpus all`")
        return Gap("a GPU, but no driver", GET_DRIVER)
    if driver.problem == "CUDA_ERROR_NO_DEVICE" or (driver.problem is None and not driver.gpus):
        return Gap("the driver shows no GPU", "unset CUDA_VISIBLE_DEVICES")
    if driver.problem == "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH":
        return Gap("the driver was updated under the running system", "sudo reboot")
    if driver.problem is not None:
        return Gap(f"the driver does not start: {driver.problem}", GET_DRIVER)
    return None


def _too_old(driver: Driver | None, cuda: str | None) -> Gap | None:
    """Whether the driver cannot run what was built with this version of CUDA."""
    major = re.match(r"\d+", cuda or "")
    if major is None or driver is None or driver.cuda is None or driver.cuda[0] >= int(major[0]):
        return None
    least = OLDEST_DRIVER.get(int(major[0]))
    wanted = f", {least} or newer" if least else ""
    return Gap(f"driver {driver.release or '(unknown)'} is too old for CUDA {major[0]}", GET_DRIVER + wanted)


def _onnx(device: str, driver: Driver | None) -> str | Gap:
    no_gpu = gpu_gap(driver)
    extra = "wgan[onnx-cpu]" if no_gpu else "wgan[onnx]"
    if find_spec("onnxruntime") is None:
        return Gap("ONNX Runtime is not installed", f"{installer()} '{extra}'")
    try:
        ort = onnx_runtime.load()
        providers = ort.get_available_providers()
        found = f"onnxruntime {ort.__version__}"
    except Exception as error:  # half an install fails in any way
        package = "onnxruntime" if no_gpu else "onnxruntime-gpu"
        return Gap(f"ONNX Runtime does not load: {_short(error)}", f"{installer()} --force-reinstall {package}")
    if device == "cpu":
        return found
    if no_gpu:
        return no_gpu
    if CUDA not in providers:
        return Gap("this ONNX Runtime has no CUDA", f"{uninstaller()} onnxruntime && {installer()} '{extra}'")
    return _too_old(driver, getattr(ort, "cuda_version", None)) or _try_cuda(ort) or found


def _try_cuda(ort: Any) -> Gap | None:
    """Whether the CUDA provider starts: which libraries it lacks shows only where it loads them."""
    fix = f"{installer()} 'onnxruntime-gpu[cuda,cudnn]'"
    try:
        ort.set_default_logger_severity(4)
        with redirect_stdout(io.StringIO()):  # what it misses it prints
            if hasattr(ort, "preload_dlls"):
                ort.preload_dlls()
        session = ort.InferenceSession(IDENTITY, providers=[CUDA])
    except Exception as error:  # onnxruntime raises types of its own, some without a common base
        return Gap(f"ONNX Runtime's CUDA fails: {_short(error)}", fix)
    # a provider that fails to load is dropped without an exception
    return None if session.get_providers()[0] == CUDA else Gap("CUDA's or cuDNN's libraries are missing", fix)


def _torchscript(device: str, driver: Driver | None) -> str | Gap:
    if find_spec("torch") is None:
        return Gap("torch is not installed", f"{installer()} 'wgan[train]'")
    version = f"torch {installed('torch')}"
    if device == "cpu":
        return version
    if no_gpu := gpu_gap(driver):
        return no_gpu
    built_with = _torch_cuda()
    if built_with is None:
        return Gap(f"{version} is built for the CPU alone", f"{installer()} --force-reinstall torch torchvision")
    return _too_old(driver, built_with) or f"{version}, CUDA {built_with}"


def _torch(device: str, driver: Driver | None) -> str | Gap:
    for module in ("torch", "yaml", "onnx"):
        if find_spec(module) is None:
            return Gap(f"{module} is not installed", f"{installer()} 'wgan[train]'")
    return _torchscript(device, driver)


def _torch_cuda() -> str | None:
    """The CUDA that torch was built with, read from its files: importing it takes seconds."""
    spec = find_spec("torch")
    try:
        text = Path(str(spec and spec.origin)).with_name("version.py").read_text("utf-8")
    except OSError:
        return None
    found = re.search(r"^cuda\b[^=\n]*=\s*['\"]([\d.]+)['\"]", text, re.MULTILINE)
    return found[1] if found else None


def _trt(device: str, driver: Driver | None) -> str | Gap:
    no_gpu = gpu_gap(driver)
    try:
        api = load_tensorrt()
    except BackendUnavailable as error:
        missing = not any(map(find_spec, ("tensorrt", "tensorrt_rtx")))
        extra = "trt-rtx" if no_gpu else "trt"
        why = "TensorRT is not installed" if missing else _short(error)
        return Gap(why, f"{installer()} 'wgan[{extra}]'")
    if no_gpu:
        return no_gpu
    assert driver is not None
    if driver.gpus[0].capability < OLDEST_GPU:
        have, need = (".".join(map(str, pair)) for pair in (driver.gpus[0].capability, OLDEST_GPU))
        return Gap(f"the GPU's compute capability is {have}, TensorRT needs {need}", "use --backend onnx")
    bindings = installed("cuda-bindings")
    if bindings is None:
        extra = "trt-rtx" if api.__name__ == "tensorrt_rtx" else "trt"
        return Gap("cuda-bindings is not installed", f"{installer()} 'wgan[{extra}]'")
    return _too_old(driver, bindings) or f"{api.__name__} {api.__version__}"


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
