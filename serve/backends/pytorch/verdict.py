"""Whether PyTorch runs here, without importing it, which takes seconds."""

import re
from importlib.util import find_spec
from pathlib import Path

from wgan.serve.backends.gaps import cuda_fails, gpu_gap
from wgan.serve.machine.gpu import Driver, query_driver
from wgan.serve.machine.install import install_command
from wgan.serve.machine.installer import installer
from wgan.serve.machine.requirements import Gap, installed


def torchscript_verdict(device: str, driver: Driver | None) -> str | Gap:
    """The torch that runs TorchScript files on ``device``, cpu or cuda; or what keeps it from running."""
    if find_spec("torch") is None:
        return Gap("torch is not installed", install_command("train"))
    version = f"torch {installed('torch')}"
    if device == "cpu":
        return version
    if no_gpu := gpu_gap(driver):
        return no_gpu
    built_with = _torch_cuda()
    if built_with is None:
        return Gap(f"{version} is built for the CPU alone", f"{installer()} --force-reinstall torch torchvision")
    return cuda_fails(driver, built_with) or f"{version}, CUDA {built_with}"


def torch_verdict(device: str, driver: Driver | None) -> str | Gap:
    """The same for checkpoints, which need all that training needs."""
    for module in ("torch", "yaml", "onnx"):
        if find_spec(module) is None:
            return Gap(f"{module} is not installed", install_command("train"))
    return torchscript_verdict(device, driver)


def torch_gap() -> Gap | None:
    """Why torch cannot run on CUDA here; None where nothing is known against it."""
    said = torchscript_verdict("cuda", query_driver())
    return said if isinstance(said, Gap) else None


def _torch_cuda() -> str | None:
    """The CUDA that torch was built with, read from its files: importing it takes seconds."""
    spec = find_spec("torch")
    try:
        text = Path(str(spec and spec.origin)).with_name("version.py").read_text("utf-8")
    except OSError:
        return None
    match = re.search(r"^cuda\b[^=\n]*=\s*['\"]([\d.]+)['\"]", text, re.MULTILINE)
    return match[1] if match else None
