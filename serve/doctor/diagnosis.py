"""`wgan doctor`: what this machine has and can run, what is wrong with it, and the command that mends each gap."""

import platform
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from wgan.serve.artifacts.formats import extras
from wgan.serve.backends.gaps import gpu_gap
from wgan.serve.base.errors import BackendError
from wgan.serve.bench.precision import Speeds, products_apart
from wgan.serve.doctor import verdicts
from wgan.serve.doctor.verdicts import Verdict
from wgan.serve.machine import hardware
from wgan.serve.machine.gpu import Driver, query_driver
from wgan.serve.machine.install import install_command
from wgan.serve.machine.installer import installer, uninstaller
from wgan.serve.machine.requirements import Gap, Package, installed, packages, unmet

TIGHT = 2_000_000_000  # bytes: checkpoints of one run and a cache of images


@dataclass(frozen=True)
class Diagnosis:
    """What this machine has and can run."""

    wgan: str | None
    python: str
    platform: str
    cpu: hardware.Cpu
    disk: hardware.Disk
    driver: Driver | None
    products: list[Speeds] | str | None  # matrix products by torch; why that failed; None if not timed
    packages: list[Package]
    backends: list[Verdict]
    troubles: list[Gap]

    def runs(self, backend: str, device: str) -> bool | None:
        """Whether a backend runs on a device, or for `auto` on any; None where only a try would tell."""
        known = [row.runs for row in self.backends if row.what == backend and device in ("auto", row.device)]
        return True if True in known else None if None in known else False

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        values = asdict(replace(self, products=None))
        speeds = self.products
        values["products"] = [row.to_dict() for row in speeds] if isinstance(speeds, list) else speeds
        values["disk"]["folder"] = str(self.disk.folder)
        for entry, package in zip(values["packages"], self.packages, strict=True):
            entry["fits"] = package.fits
        return values


def examine(folder: Path, timed: bool = True) -> Diagnosis:
    """Looks at this machine, without importing torch.

    Args:
        folder: where runs are written; need not be there.
        timed: another process times torch's products.
    """
    driver, disk, asked = query_driver(), hardware.disk(folder), packages(extras())
    return Diagnosis(
        wgan=installed("wgan"),
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        cpu=hardware.cpu(),
        disk=disk,
        driver=driver,
        products=_products() if timed else None,
        packages=asked,
        backends=verdicts.backends(driver),
        troubles=_troubles(asked, disk, driver),
    )


def _products() -> list[Speeds] | str | None:
    try:
        return products_apart()
    except BackendError as error:
        return str(error)


def _troubles(asked: list[Package], disk: hardware.Disk, driver: Driver | None) -> list[Gap]:
    """What is wrong, though much may run in spite of it."""
    troubles = []
    if not asked:
        troubles.append(Gap("wgan is run without being installed: its packages' bounds are unknown", install_command()))
    if installed("onnxruntime") and installed("onnxruntime-gpu"):
        # both write the same files: whichever came last is there, and removing one breaks the other
        again = "onnxruntime-gpu" if gpu_gap(driver) is None else "onnxruntime"
        both = "onnxruntime onnxruntime-gpu"
        troubles.append(
            Gap(
                "onnxruntime and onnxruntime-gpu overwrite each other",
                f"{uninstaller()} {both} && {installer()} {again}",
            )
        )
    for package in asked:
        if not package.fits:
            what = f"{package.name} {package.installed} is outside {package.wanted}, which wgan was tested with"
            troubles.append(Gap(what, f"{installer()} '{package.name}{package.wanted}'"))
    if wanted := unmet("torchvision", "torch"):
        what = f"torchvision {installed('torchvision')} is made for torch {wanted}, not {installed('torch')}"
        troubles.append(Gap(what, f"{installer()} --force-reinstall torchvision 'torch{wanted}'"))
    gap = gpu_gap(driver)
    if gap is not None and (driver is not None or hardware.nvidia_on_the_bus()):
        troubles.append(gap)
    if not disk.writable:
        troubles.append(Gap(f"{disk.folder}/ cannot be written", "name another place with --run and --out"))
    if disk.free < TIGHT:
        troubles.append(Gap(f"{disk.free / 1e9:.1f} GB are free under {disk.folder}/", "free some space"))
    return troubles
