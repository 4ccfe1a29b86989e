"""Is this artifact PyTorch's generator? Measured on inputs that would show a difference, and gated.

The reference is the trained generator, BatchNorm not folded, on the CPU in float32.
"""

import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import nn

from wgan.export.parity.figures import LEVEL, Figures
from wgan.serve.artifacts.metadata import Metadata
from wgan.serve.backends.base import Backend
from wgan.serve.backends.memory import runtime_failure
from wgan.serve.backends.pytorch.pieces import in_pieces
from wgan.serve.backends.trt.build import OPTIMUM
from wgan.serve.base.errors import BackendOutOfMemory, ExportError
from wgan.serve.latents.table import latents

FEWEST = 64  # images that figures rest on
ROWS = 2**42  # of the latent table, far from users' seeds

Reference = Callable[[np.ndarray, np.ndarray | None], np.ndarray]  # latents, labels → images

# of 8 bits, an error is many pixels a little off and few far off: the mean and the worst image say what is seen, the
# maximum only that no edge is turned over; and an image may not be another one in another batch
INT8 = {"max_abs": 1.0, "mean_abs": 3.2e-2, "worst_psnr_db": 30.0, "chunks_max_abs": 5e-2}
GATES: dict[tuple[str, str], dict[str, float]] = {
    ("fp32", "cpu"): {"max_abs": 1e-4},
    ("fp32", "cuda"): {"max_abs": 1e-3},
    ("fp16", "cpu"): {"max_abs": 5e-2, "mean_abs": 2e-3, "worst_psnr_db": 40.0},
    ("fp16", "cuda"): {"max_abs": 5e-2, "mean_abs": 2e-3, "worst_psnr_db": 40.0},
    # bfloat16 keeps 3 bits less than float16: 8 times the error. Measured over all networks: at most 3.0e-1, mean
    # 8.5e-3, worst PSNR 36 dB, those of three convolutions at each resolution, attention and conditional BatchNorm
    ("bf16", "cpu"): {"max_abs": 4e-1, "mean_abs": 1.6e-2, "worst_psnr_db": 30.0},
    ("bf16", "cuda"): {"max_abs": 4e-1, "mean_abs": 1.6e-2, "worst_psnr_db": 30.0},
    # what other tools make of an artifact: docs/parity.md has what was measured
    ("int8", "cpu"): INT8,
    ("int8", "cuda"): INT8,
}


def gates_for(metadata: Metadata, device: str) -> dict[str, float]:
    """What a generator is held to.

    Pixels of its own are compared with the reference's, both rounded: float32 may take the other side of a
    rounding here and there, one level away; at a reduced precision rounding adds up to a level to the error.
    """
    gates = GATES[metadata.precision, device]
    if metadata.image.dtype == "float32":
        return gates
    if metadata.precision == "fp32":
        return {"max_abs": LEVEL, "pixels_differ": 1e-3}
    return gates | {"max_abs": gates["max_abs"] + LEVEL}


def probes(latent_dim: int, max_batch: int) -> Iterator[np.ndarray]:
    """Latents (N, Z) in batches of 1, 2, 3, the optimum, the maximum, and one in between; none above the maximum.

    Where those are few images, more batches of the maximum follow, until there are `FEWEST`. Each batch holds rows of
    the table; the larger ones begin with the all-zero latent and ±4σ.
    """
    optimum = min(OPTIMUM, max_batch)
    sizes = sorted({size for size in (1, 2, 3, optimum, max_batch, optimum - 7) if 1 <= size <= max_batch})
    sizes += [max_batch] * -(min(0, sum(sizes) - FEWEST) // max_batch)
    corners = np.stack([np.full(latent_dim, value, np.float32) for value in (0.0, 4.0, -4.0)])
    signs = np.where(latents(ROWS - 1, 1, latent_dim) < 0, np.float32(-4), np.float32(4))
    first = ROWS
    for size in sizes:
        z = latents(first, size, latent_dim)
        first += size
        if size > 3:
            z[:4] = np.concatenate([corners, signs])
        yield z
    # the corners each alone, where a batch statistic left in by mistake would show
    yield from corners[:, None, :]


def reference_of(module: nn.Module) -> Reference:
    """Runs a generator in eval mode on the CPU in float32, in pieces (`serve.backends.pytorch.pieces`).

    What it returns raises BackendError where torch fails, BackendOutOfMemory for want of memory.
    """

    @torch.no_grad()
    def piece(z: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        images: torch.Tensor = module(torch.from_numpy(z), None if labels is None else torch.from_numpy(labels))
        return images.numpy()

    def run(z: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        try:
            return in_pieces(piece, z, labels)
        except (RuntimeError, MemoryError) as error:
            raise runtime_failure("PyTorch", error, len(z)) from None

    return run


def measure(backend: Backend, module: nn.Module, max_batch: int) -> dict[str, Any]:
    """The parity report of an open artifact.

    Args:
        backend: what is measured.
        module: the reference, in eval mode on the CPU in float32.
        max_batch: the largest batch to try.

    Returns:
        The figures (of pixels in the same units, a level being 2/255), the gates they were held to, and ``passed``.

    Raises:
        BackendError: the runtime failed.
        ExportError: there is not the memory for a batch that large.
    """
    try:
        return _measured(backend, reference_of(module), max_batch)
    except (MemoryError, BackendOutOfMemory):
        raise ExportError(
            f"memory ran out when {backend.path} was measured in batches of up to {max_batch:,}: free some, or export "
            "with a smaller --max-batch"
        ) from None


def _measured(backend: Backend, reference: Reference, max_batch: int) -> dict[str, Any]:
    batches = list(probes(backend.metadata.latent.dim, max_batch))
    figures = Figures(sum(map(len, batches)) * math.prod(backend.metadata.image.shape))
    for number, z in enumerate(batches):
        labels = classes_of(backend, len(z), number)
        images = backend.run(z, labels)  # whole: it is what is measured
        for start in range(0, len(z), OPTIMUM):  # the largest batch may be gigabytes, and one copy is enough
            part = slice(start, start + OPTIMUM)
            figures.add(images[part], reference(z[part], None if labels is None else labels[part]))
        del images
    report: dict[str, Any] = {
        "reference": f"PyTorch {torch.__version__}, CPU, float32",
        "device": backend.device,
        **backend.measured_with,
        "images": sum(map(len, batches)),
        "batches": [len(z) for z in batches],
        **figures.report(),
        "chunks_max_abs": _chunks_differ(backend, max_batch),
        "gates": gates_for(backend.metadata, backend.device),
        "reason": None,
    }
    report["passed"] = not failures(report)
    return report


def classes_of(backend: Backend, count: int, first: int = 0) -> np.ndarray | None:
    """Labels int64 (count,) that go through all classes, from ``first`` on; None without classes."""
    classes = backend.metadata.classes
    return None if classes is None else np.arange(first, first + count, dtype=np.int64) % len(classes)


def _chunks_differ(backend: Backend, max_batch: int) -> float:
    """Largest difference between a whole batch and the same in chunks of uneven size."""
    z = latents(ROWS, max_batch, backend.metadata.latent.dim)
    labels = classes_of(backend, max_batch)
    whole = backend.run(z, labels)
    cuts = sorted({n for n in (0, 1, max_batch // 3, max_batch // 2) if n < max_batch})
    largest = 0.0
    for start, end in pairwise([*cuts, max_batch]):
        part = backend.run(z[start:end], None if labels is None else labels[start:end])
        for first in range(start, end, OPTIMUM):  # as above
            piece = slice(first, min(first + OPTIMUM, end))
            difference = whole[piece].astype(np.float64) - part[piece.start - start : piece.stop - start]
            largest = max(largest, float(np.abs(difference).max()))
    return largest * (LEVEL if whole.dtype == np.uint8 else 1.0)


def failures(report: dict[str, Any]) -> list[str]:
    """Which gates the figures do not hold, in words."""
    failed = [] if report["finite"] else ["NaN or Inf in the images"]
    for name, gate in report["gates"].items():
        value = report[name]
        if value < gate if name == "worst_psnr_db" else value > gate:
            failed.append(f"{name} {value:.3g} (gate {gate:g})")
    if "chunks_max_abs" not in report["gates"] and report["chunks_max_abs"] > report["gates"]["max_abs"]:
        failed.append(f"a batch in chunks differs from the whole by {report['chunks_max_abs']:.3g}")
    return failed


def not_measured(reason: str) -> dict[str, Any]:
    """The report of an artifact that cannot run on this machine."""
    return {"passed": None, "reason": reason}
