"""Images a second to 8 bits: each batch waited for before its pixels are made, and made while the next is computed."""

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from gpu.models import exported, generator
from gpu.rows import Here, Row
from wgan.export.recipe import ALL, file_name
from wgan.serve.artifacts import artifact
from wgan.serve.artifacts.formats import FORMATS
from wgan.serve.backends.base import Backend
from wgan.serve.backends.open import open_backend
from wgan.serve.backends.trt.backend import TrtBackend
from wgan.serve.base.errors import BackendUnavailable, WganError
from wgan.serve.latents.table import latents
from wgan.serve.outputs.pixels import to_uint8

AIM = 1e6  # images a second in float16
SIZES = {1: 400, 64: 100, 256: 40}  # batch: how many of them are timed
TINY_SIZES = {8: 4}


def run(here: Here) -> None:
    """A row a file and batch; engines with and without CUDA graphs."""
    made, best = generator(here), 0.0
    z = latents(0, 256, made.config.latent_dim)
    with tempfile.TemporaryDirectory() as folder:
        for precision in ("fp16",) if here.tiny else ("fp32", "fp16"):
            for kind in ALL:
                name = file_name(kind, precision)
                if kind == "trt" and not here.cuda:
                    here.not_run(name, "an engine runs on a GPU alone")
                    continue
                try:
                    path = exported(here, made, Path(folder), kind, precision).path
                    for said, backend in opened(here, path):
                        for size, count in (TINY_SIZES if here.tiny else SIZES).items():
                            what = f"{name}{said}, batch {size}"
                            if here.short_of(what, 0 if here.tiny else 5):
                                continue
                            measured = rates(backend, z[:size], count)
                            best = max(best, measured["overlapped"] if precision == "fp16" else 0.0)
                            here.tell(what, device=backend.device, **measured)
                except BackendUnavailable as error:
                    here.not_run(name, str(error))
                except WganError as error:
                    here.tell(name, ok=False, why=str(error))
    if here.cuda and not here.tiny:
        here.tell("aim: fp16, images/s", best=best, aim=AIM, reached=best >= AIM)


def opened(here: Here, path: Path) -> Iterator[tuple[str, Backend]]:
    """The backends that run it, each open for its turn. Raises WganError."""
    if path.suffix == FORMATS["trt"].ending:
        for graphs in (True, False):
            with TrtBackend(artifact.read(path), "cuda", graphs=graphs) as engine:
                yield f", graphs {'on' if graphs else 'off'}", engine
    else:
        with open_backend(path, device=here.device.type) as backend:
            yield "", backend


def rates(backend: Backend, z: np.ndarray, count: int) -> Row:
    """Images a second: floats alone, pixels after each batch, pixels beside the next."""
    batches = [(z, None)]
    return {
        "floats": rate(lambda n: [None for _ in backend.stream(batches * n)], count, len(z)),
        "one_after_the_other": rate(lambda n: [to_uint8(backend.run(z)) for _ in range(n)], count, len(z)),
        "overlapped": rate(lambda n: [to_uint8(images) for images in backend.stream(batches * n)], count, len(z)),
    }


def rate(generate: Callable[[int], object], count: int, size: int) -> float:
    """Of ``count`` batches, after four that warm up."""
    generate(4)
    began = time.perf_counter()
    generate(count)
    return count * size / (time.perf_counter() - began)
