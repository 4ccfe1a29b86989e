"""What keeps CUDA from running here, for any backend, with the command that mends it."""

import re
from dataclasses import dataclass

from wgan.serve.backends.cuda import Cuda
from wgan.serve.base.errors import BackendError, BackendUnavailable
from wgan.serve.machine import hardware
from wgan.serve.machine.gpu import Driver
from wgan.serve.machine.requirements import Gap, installed

OLDEST_DRIVER = {12: 525, 13: 580}  # of each CUDA's compatibility table, Linux
OLDEST_GPU = (7, 5)  # compute capability that CUDA 13, TensorRT 10.8 and later and TensorRT-RTX ask for
SEE_GPU = "nvidia-smi (who holds the GPU and its memory)"
GET_DRIVER = "install NVIDIA's driver from https://www.nvidia.com/drivers"


@dataclass(frozen=True)
class Untried:
    """Why it is not known whether something runs here, and the command that tries it."""

    why: str
    fix: str


def gpu_gap(driver: Driver | None) -> Gap | None:
    """Why no program can use CUDA here; None where one can."""
    if driver is None:
        if not hardware.nvidia_on_the_bus():
            return Gap("no NVIDIA GPU", "use a machine with an NVIDIA GPU")
        if hardware.in_container():
            return Gap("this container does not see the GPU", "start it with `docker run --gpus all`")
        return Gap("a GPU, but no driver", GET_DRIVER)
    if driver.problem == "CUDA_ERROR_NO_DEVICE" or (driver.problem is None and not driver.gpus):
        return Gap("the driver shows no GPU", "unset CUDA_VISIBLE_DEVICES")
    if driver.problem == "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH":
        return Gap("the driver was updated under the running system", "sudo reboot")
    if driver.problem is not None:
        return Gap(f"the driver does not start: {driver.problem}", GET_DRIVER)
    return None


def cuda_fails(driver: Driver | None, cuda: str | None) -> Gap | None:
    """Why programs built with this version of CUDA cannot run here, as known or as a try shows; None where they can."""
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


def _too_old(driver: Driver | None, cuda: str | None) -> Gap | None:
    """Why the driver is too old for programs built with this version of CUDA; None where it is not."""
    major = re.match(r"\d+", cuda or "")
    if major is None or driver is None or driver.cuda is None or driver.cuda[0] >= int(major[0]):
        return None
    least = OLDEST_DRIVER.get(int(major[0]))
    wanted = f", {least} or newer" if least else ""
    return Gap(f"driver {driver.release or '(unknown)'} is too old for CUDA {major[0]}", GET_DRIVER + wanted)
