"""How fast a backend generates on this machine."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from wgan.serve.backends.base import Backend
from wgan.serve.latents.table import latents
from wgan.serve.machine.gpu import first_gpu
from wgan.serve.machine.hardware import cpu
from wgan.serve.machine.load import Watch
from wgan.serve.sampling.sampler import labels_for

FEWEST = 3  # batches that are timed, however long they take
NOISY = 0.25  # a spread beyond it: the figure says more of the machine's other work than of what was timed


def middle_half(values: Sequence[float]) -> float:
    """How far the quartiles lie apart: of two or three values half of their range."""
    low, high = np.percentile(values, (25, 75))
    return float(high - low)


def spread(values: Sequence[float]) -> float:
    """`middle_half` as a share of the median."""
    return middle_half(values) / float(np.median(values))


def measure_speed(backend: Backend, batch_size: int, seconds: float = 1.0) -> dict[str, Any]:
    """Images a second of pure generation, after a warm-up, and how long single batches took.

    Returns:
        A row: backend, device, precision, batch, batches (timed), images_per_second, p50_ms, p95_ms, the `spread`
        of the single batches; and the conditions: machine (the name of the processor or GPU) and the keys of `Load`.
    """
    z = latents(0, batch_size, backend.metadata.latent.dim)
    labels = labels_for(backend, 0, batch_size, None)
    backend.run(z, labels)
    spans: list[float] = []
    watch = Watch()
    began = before = time.perf_counter()
    while before - began < seconds or len(spans) < FEWEST:
        backend.run(z, labels)
        now = time.perf_counter()
        spans.append(now - before)
        before = now
    load = watch.load()
    p50, p95 = np.percentile(spans, (50, 95))
    return {
        "backend": backend.name,
        "device": backend.device,
        "precision": backend.metadata.precision,
        "batch": batch_size,
        "batches": len(spans),
        "images_per_second": len(spans) * batch_size / (before - began),
        "p50_ms": float(p50) * 1e3,
        "p95_ms": float(p95) * 1e3,
        "spread": spread(spans),
        "machine": machine_name(backend.device),
        **load.to_dict(),
    }


def machine_name(device: str) -> str:
    """The processor's, or on CUDA the GPU's."""
    gpu = first_gpu() if device == "cuda" else None
    return gpu.name if gpu else cpu().name
