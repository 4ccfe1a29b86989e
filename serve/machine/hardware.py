"""What this machine is, whatever is installed on it: processor, disk, and a GPU that no driver shows."""

import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

from wgan.serve.machine.cores import usable_cores
from wgan.serve.machine.gpu import first_gpu

NVIDIA, DISPLAY = "0x10de", "0x03"  # PCI vendor, and the class of what draws or computes


@dataclass(frozen=True)
class Cpu:
    """The processor as this process may use it."""

    name: str
    threads: int


@dataclass(frozen=True)
class Disk:
    """The disk under a folder, which need not be there yet."""

    folder: Path
    free: int  # bytes
    writable: bool


def cpu(cpuinfo: Path = Path("/proc/cpuinfo")) -> Cpu:
    """The processor."""
    threads = usable_cores()
    try:
        lines = cpuinfo.read_text("utf-8", "replace").splitlines()
    except OSError:
        return Cpu(platform.processor() or platform.machine(), threads)
    values = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in reversed(lines))}
    return Cpu(values.get("model name") or platform.machine(), threads)


def computes_on(device: str) -> str:
    """The name of what ``device``, cpu or cuda, is here: a figure of speed means little without."""
    gpu = first_gpu() if device == "cuda" else None
    if gpu is not None:
        return gpu.name
    processor = cpu()
    return f"{processor.name}, {processor.threads} thread{'s' * (processor.threads != 1)}"


def disk(folder: Path) -> Disk:
    """Free space and whether one may write there."""
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    return Disk(folder, shutil.disk_usage(there).free, there.is_dir() and os.access(there, os.W_OK | os.X_OK))


def nvidia_on_the_bus(devices: Path = Path("/sys/bus/pci/devices")) -> bool:
    """Whether a PCI device of NVIDIA's draws or computes, driver or not."""
    for device in devices.glob("*"):
        try:
            vendor, kind = ((device / name).read_text().strip() for name in ("vendor", "class"))
        except OSError:
            continue
        if vendor == NVIDIA and kind.startswith(DISPLAY):
            return True
    return False


def in_container(root: Path = Path("/")) -> bool:
    """Whether a container engine started this."""
    return any((root / mark).exists() for mark in (".dockerenv", "run/.containerenv"))
