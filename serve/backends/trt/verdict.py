"""Whether TensorRT runs here, and on this GPU."""

from wgan.serve.backends.gaps import OLDEST_GPU, Untried, cuda_fails, gpu_gap
from wgan.serve.backends.trt.api import MODULES, builds_for_absent_gpus, load_tensorrt, unlisted, wanted_extra
from wgan.serve.base.errors import BackendUnavailable
from wgan.serve.base.terminal import short
from wgan.serve.machine.gpu import Driver
from wgan.serve.machine.install import install_command
from wgan.serve.machine.requirements import Gap, installed


def verdict(device: str, driver: Driver | None) -> str | Gap | Untried:
    """The TensorRT that runs engines here; or what keeps it from running, or why only a try would tell."""
    no_gpu = gpu_gap(driver)
    try:
        api = load_tensorrt()
    except BackendUnavailable as error:
        return Gap(short(error.why), error.mend or install_command(wanted_extra()))
    if no_gpu:
        return no_gpu
    assert driver is not None
    if driver.gpus[0].capability < OLDEST_GPU:
        have, need = (".".join(map(str, pair)) for pair in (driver.gpus[0].capability, OLDEST_GPU))
        return Gap(f"the GPU's compute capability is {have}, TensorRT needs {need}", "use --backend onnx")
    bindings = installed("cuda-bindings")
    if bindings is None:
        return Gap("cuda-bindings is not installed", install_command(MODULES[api.__name__]))
    if (gap := cuda_fails(driver, bindings)) is not None:
        return gap
    if (unknown := unlisted(api, driver.gpus[0])) is not None:
        return Gap(unknown, install_command("trt"))
    if builds_for_absent_gpus(api) and driver.gpus[0].capability == OLDEST_GPU:
        why = f"{api.__name__} {api.__version__} has no float32 matrix product for 7.5; float16 was never tried"
        return Untried(why, "wgan export --format trt --precision fp16")
    return f"{api.__name__} {api.__version__}"
