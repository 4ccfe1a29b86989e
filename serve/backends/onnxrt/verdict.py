"""Whether ONNX Runtime runs here: found by loading it and by trying its providers."""

from importlib.util import find_spec

from wgan.serve.backends.gaps import cuda_fails, gpu_gap
from wgan.serve.backends.onnxrt import runtime
from wgan.serve.backends.onnxrt.providers import CUDA, cuda_gap, tensorrt_gap
from wgan.serve.base.terminal import short
from wgan.serve.machine.gpu import Driver, query_driver
from wgan.serve.machine.install import install_command
from wgan.serve.machine.installer import installer, uninstaller
from wgan.serve.machine.requirements import Gap


def verdict(device: str, driver: Driver | None) -> str | Gap:
    """The version of ONNX Runtime that runs on ``device``, cpu or cuda; or what keeps it from running."""
    no_gpu = gpu_gap(driver)
    if find_spec("onnxruntime") is None:
        return Gap("ONNX Runtime is not installed", install_command(wanted_extra(driver)))
    try:
        ort = runtime.load()
        providers = ort.get_available_providers()
        version = f"onnxruntime {ort.__version__}"
    except Exception as error:  # half an install fails in any way
        package = "onnxruntime" if no_gpu else "onnxruntime-gpu"
        return Gap(f"ONNX Runtime does not load: {short(error)}", f"{installer()} --force-reinstall {package}")
    if device == "cpu":
        return version
    if no_gpu:
        return no_gpu
    if CUDA not in providers:
        return Gap("this ONNX Runtime has no CUDA", f"{uninstaller()} onnxruntime && {install_command('onnx')}")
    return cuda_fails(driver, getattr(ort, "cuda_version", None)) or cuda_gap(ort) or version


def wanted_extra(driver: Driver | None) -> str:
    """The extra that brings ONNX Runtime for this machine: the one with CUDA where a GPU can be used."""
    return "onnx-cpu" if gpu_gap(driver) else "onnx"


def provider_gap(provider: str) -> Gap | None:
    """Tries ONNX Runtime's provider cuda or tensorrt: why it cannot run here, or None where it can."""
    if provider == "tensorrt":
        ort = runtime.load()
        if (gap := tensorrt_gap(ort)) is not None:
            return gap
    said = verdict("cuda", query_driver())
    return said if isinstance(said, Gap) else None
