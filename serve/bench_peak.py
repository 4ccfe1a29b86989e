"""The matrix-product peak of this machine, FLOP/s: what every share in a benchmark is a share of."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

REPEATS = 5


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
    """Of a float32 product of square matrices by numpy."""
    a, b = np.random.default_rng(0).standard_normal((2, size, size), np.float32)
    out = np.empty_like(a)
    return best_rate(lambda: np.matmul(a, b, out=out), 2 * size**3)


def torch_peak(device: Any, precision: str, size: int) -> float:
    """Of a product by torch on ``device``: fp32 (TF32 off), bf16 or fp16."""
    import torch

    dtype = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[precision]
    on_gpu = torch.device(device).type == "cuda"
    # random numbers: on zeros a GPU draws less power and clocks higher
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    out = torch.empty_like(a)

    def product() -> None:
        torch.mm(a, b, out=out)
        if on_gpu:
            torch.cuda.synchronize(device)

    return best_rate(product, 2 * size**3)


def cuda_peak(precision: str, size: int = 8192) -> float | None:
    """Of a product by torch on a GPU; None without torch and a GPU that it can use."""
    try:
        import torch
    except ImportError:
        return None
    return torch_peak("cuda", precision, size) if torch.cuda.is_available() else None
