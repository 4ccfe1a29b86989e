"""Whether each backend runs here, on each device: what it runs with, or what is missing and what mends it."""

import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from wgan.serve import machine, onnx_runtime
from wgan.serve.cuda import Cuda
from wgan.serve.errors import BackendError, BackendUnavailable
from wgan.serve.gpu import Driver, query_driver
from wgan.serve.onnx_providers import CUDA, cuda_gap, short, tensorrt_gap
from wgan.serve.requirements import Gap, installed, installer, uninstaller
from wgan.serve.tensorrt_api import builds_for_absent_gpus, load_tensorrt, unlisted

OLDEST_DRIVER = {12: 525, 13: 580}  # of each CUDA's compatibility table, Linux
OLDEST_GPU = (7, 5)  # compute capability that CUDA 13, TensorRT 10.8 and later and TensorRT-RTX ask for
SEE_GPU = "nvidia-smi (who holds the GPU and its memory)"
GET_DRIVER = "install NVIDIA's driver from https://www.nvidia.com/drivers"


@dataclass(frozen=True)
class Untried:
    """Why nothing is known of it, and the command that tries it."""

    why: str
    fix: str


@dataclass(frozen=True)
class Verdict:
    """Whether something runs on one device: with what, or why not and what mends it.

    ``runs`` is None where it is not known: ``fix`` then tries it.
    """

    what: str
    device: str
    runs: bool | None
    why: str
    fix: str | None = None


def backends(driver: Driver | None) -> list[Verdict]:
    """A verdict for each backend on each device that it knows."""
    found = []
    for name, look in (("onnx", _onnx), ("torchscript", _torchscript), ("torch", _torch), ("trt", _trt)):
        for device in ("cpu", "cuda") if name != "trt" else ("cuda",):
            result = look(device, driver)
            if isinstance(result, str):
                found.append(Verdict(name, device, True, result))
            else:
                found.append(Verdict(name, device, False if isinstance(result, Gap) else None, result.why, result.fix))
    return found


def onnx_gap(provider: str) -> Gap | None:
    """Why ONNX Runtime cannot run with its provider cuda or tensorrt here; None where it can. It is tried."""
    if provider == "tensorrt":
        ort = onnx_runtime.load()
        if (gap := tensorrt_gap(ort)) is not None:
            return gap
    found = _onnx("cuda", query_driver())
    return found if isinstance(found, Gap) else None


def torch_gap() -> Gap | None:
    """Why torch cannot run on CUDA here; None where nothing is known against it."""
    found = _torchscript("cuda", query_driver())
    return found if isinstance(found, Gap) else None


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


def _cuda_fails(driver: Driver | None, cuda: str | None) -> Gap | None:
    """Whether what was built with this version of CUDA cannot run here, whatever it is: known, or found by trying."""
    if (gap := _too_old(driver, cuda)) is not None:
        return gap
    major = (cuda or "").partition(".")[0]
    if major == "13" and driver is not None and driver.gpus and driver.gpus[0].capability < OLDEST_GPU:
        have, need = (".".join(map(str, pair)) for pair in (driver.gpus[0].capability, OLDEST_GPU))
        return Gap(f"the GPU's compute capability is {have}, CUDA 13 needs {need}", "use --device cpu")
    if not major or (installed("cuda-bindings") or "").partition(".")[0] != major:
        return None  # of another CUDA: they would tell of that one
    try:
        cuda_runtime = Cuda()
    except BackendUnavailable:
        return None
    try:
        cuda_runtime.stream()
    except BackendError as error:
        # a GPU that others fill or hold is no fault of the driver's
        return Gap(f"{error} on this driver", GET_DRIVER if "Driver" in str(error) else SEE_GPU)
    finally:
        cuda_runtime.close()
    return None


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
        return Gap(f"ONNX Runtime does not load: {short(error)}", f"{installer()} --force-reinstall {package}")
    if device == "cpu":
        return found
    if no_gpu:
        return no_gpu
    if CUDA not in providers:
        return Gap("this ONNX Runtime has no CUDA", f"{uninstaller()} onnxruntime && {installer()} '{extra}'")
    return _cuda_fails(driver, getattr(ort, "cuda_version", None)) or cuda_gap(ort) or found


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
    return _cuda_fails(driver, built_with) or f"{version}, CUDA {built_with}"


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


def _trt(device: str, driver: Driver | None) -> str | Gap | Untried:
    no_gpu = gpu_gap(driver)
    try:
        api = load_tensorrt()
    except BackendUnavailable as error:
        missing = not any(map(find_spec, ("tensorrt", "tensorrt_rtx")))
        extra = "trt-rtx" if no_gpu else "trt"
        why = "TensorRT is not installed" if missing else short(error)
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
    if (gap := _cuda_fails(driver, bindings)) is not None:
        return gap
    if (unknown := unlisted(api, driver.gpus[0])) is not None:
        trained = find_spec("torch") is not None
        return Untried(unknown, "wgan export --format trt" if trained else "wgan sample --backend trt -n 1 --rebuild")
    if builds_for_absent_gpus(api) and driver.gpus[0].capability == OLDEST_GPU:
        why = f"{api.__name__} {api.__version__} has no float32 matrix product for 7.5; float16 was never tried"
        return Untried(why, "wgan export --format trt --precision fp16")
    return f"{api.__name__} {api.__version__}"
