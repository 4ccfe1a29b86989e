"""The matrix-product peak of this machine, FLOP/s: what every share in a benchmark is a share of."""

import time
from collections.abc import Callable

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


def cuda_peak(precision: str, size: int = 8192) -> float | None:
    """Of a product by torch, float32 (TF32 off) or half; None without torch and a GPU that it can use."""
    try:
        import torch
    except ImportError:
        return None
    if not torch.cuda.is_available():
        return None
    dtype = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[precision]
    # random numbers: on zeros a GPU draws less power and clocks higher
    a, b, out = (torch.randn(size, size, device="cuda", dtype=dtype) for _ in range(3))

    def product() -> None:
        torch.mm(a, b, out=out)
        torch.cuda.synchronize()

    return best_rate(product, 2 * size**3)
