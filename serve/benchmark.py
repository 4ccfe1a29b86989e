"""How fast a backend generates on this machine."""

import time
from typing import Any

from wgan.serve.backend import Backend
from wgan.serve.latents import latents
from wgan.serve.sampler import labels_for


def measure_speed(backend: Backend, batch_size: int, seconds: float = 1.0) -> dict[str, Any]:
    """Images a second of pure generation, after a warm-up.

    Returns:
        A row: backend, device, precision, batch, images_per_second.
    """
    z = latents(0, batch_size, backend.metadata.latent.dim)
    labels = labels_for(backend, 0, batch_size, None)
    backend.run(z, labels)
    began, batches = time.perf_counter(), 0
    while (spent := time.perf_counter() - began) < seconds:
        backend.run(z, labels)
        batches += 1
    return {
        "backend": backend.name,
        "device": backend.device,
        "precision": backend.metadata.precision,
        "batch": batch_size,
        "images_per_second": batches * batch_size / spent,
    }
