"""This machine's peak in a matrix product, FLOP/s: the shares in a benchmark are shares of it."""

import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np

from wgan.serve.base.errors import BackendError
from wgan.serve.bench.process import run_apart
from wgan.serve.bench.quality import loaded

REPEATS = 5
TRIES = 3
NAMES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
LONG = 0.05  # seconds of a product that is not made larger


class Peaks:
    """The peaks that rows are compared with, each measured when first asked for, in a process of its own.

    ``rates`` holds FLOP/s by name, such as `CPU fp32`; None where it could not be measured. One that was measured
    beside other work is measured again, `TRIES` times in all, and the highest is kept; ``doubtful`` names those that
    never had the machine to themselves.
    """

    def __init__(self, module: str):
        self.module = module  # what is run, with `peak`, device and precision
        self.rates: dict[str, float | None] = {}
        self.doubtful: list[str] = []

    def __call__(self, row: dict[str, Any]) -> tuple[str, float | None]:
        """The product on the row's device in its precision: its name, and FLOP/s.

        On a CPU ONNX Runtime computes half precision in float32 and is held against that; so is what torch runs
        where torch's own product of that precision cannot be measured.
        """
        device, precision = row["device"], row["precision"]
        if device == "cpu" and row["backend"] == "onnx":
            precision = "fp32"
        name, rate = self._of(device, precision)
        return self._of(device, "fp32") if rate is None and device == "cpu" else (name, rate)

    def _of(self, device: str, precision: str) -> tuple[str, float | None]:
        name = f"{device.upper()} {precision}"
        if name not in self.rates:
            self.rates[name] = None  # what was measured is worth showing without it
            for _ in range(TRIES):
                try:
                    # in a process of its own: torch and the matrices would stay in this one
                    found = run_apart(self.module, ["peak", device, precision])
                except BackendError:
                    break
                if found["peak"] is None:
                    break
                self.rates[name] = max(float(found["peak"]), self.rates[name] or 0.0)
                if not loaded(found):
                    break
            else:
                self.doubtful.append(name)
        return name, self.rates[name]


def measure_peak(device: str, precision: str) -> float | None:
    """FLOP/s of the matrix product; None where that needs torch and torch is not installed, or there is none: int8."""
    if precision not in NAMES:
        return None
    if device == "cuda":
        return cuda_peak(precision)
    return cpu_peak() if precision == "fp32" else cpu_torch_peak(precision)


def best_rate(work: Callable[[], object], flops: float, repeats: int = REPEATS) -> float:
    """FLOP/s of the quickest of ``repeats`` calls, after one that warms up."""
    work()
    best = float("inf")
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - began)
    return flops / best


def cpu_peak(size: int = 2048) -> float:
    """FLOP/s of a float32 product of square matrices by numpy."""
    a, b = np.random.default_rng(0).standard_normal((2, size, size), np.float32)
    out = np.empty_like(a)
    return best_rate(lambda: np.matmul(a, b, out=out), 2 * size**3)


def torch_peak(device: Any, precision: str, size: int) -> float:
    """FLOP/s of a product by torch on ``device``: fp32 (TF32 off), bf16 or fp16.

    On a CPU the matrices are as large as is quick, ``size`` at most: without instructions for it, a product in half
    precision takes a hundred times as long.
    """
    import torch

    product = partial(torch_product, device, precision)
    if torch.device(device).type != "cuda":
        size = quick_size(lambda size: 2 * size**3 / best_rate(product(size), 2 * size**3, 1), size)
    return best_rate(product(size), 2 * size**3)


def torch_product(device: Any, precision: str, size: int) -> Callable[[], None]:
    """A product of square matrices by torch in fp32, bf16 or fp16; the call returns when the device has done it."""
    import torch

    # random numbers: on zeros a GPU draws less power and clocks higher; the global ones are the caller's
    draw = torch.Generator(device).manual_seed(0)
    dtype = getattr(torch, NAMES[precision])
    a, b = (torch.randn(size, size, device=device, generator=draw).to(dtype) for _ in range(2))
    out = torch.empty_like(a)

    def work() -> None:
        torch.mm(a, b, out=out)
        if a.is_cuda:
            torch.cuda.synchronize(device)

    return work


def quick_size(seconds: Callable[[int], float], most: int) -> int:
    """The first of 256, 512, … that takes longer than `LONG` seconds, or ``most``."""
    size = min(256, most)
    while size < most and seconds(size) < LONG:
        size = min(2 * size, most)
    return size


def cpu_torch_peak(precision: str) -> float | None:
    """FLOP/s of a product by torch on the CPU; None without torch."""
    if find_spec("torch") is None:
        return None
    from wgan.serve.backends.pytorch.device import torch_device

    device = torch_device("cpu")  # held to this process's cores, as its backends are
    return torch_peak(device, precision, 2048)


def cuda_peak(precision: str, size: int = 8192) -> float | None:
    """FLOP/s of a product by torch on a GPU; None without torch and a GPU that it can use."""
    try:
        import torch
    except ImportError:
        return None
    return torch_peak("cuda", precision, size) if torch.cuda.is_available() else None
