"""Engines of whichever TensorRT is here: built, read back, equal to PyTorch, the same with CUDA graphs and without."""

import importlib.util
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from gpu.models import exported, generator
from gpu.rows import Here, Row
from wgan.export import exporter
from wgan.export.reference.generator import TrainedGenerator
from wgan.serve.artifacts import artifact
from wgan.serve.backends.trt.api import MODULES, load_tensorrt, unlisted
from wgan.serve.backends.trt.backend import TrtBackend
from wgan.serve.base.errors import BackendUnavailable, WganError
from wgan.serve.latents.table import latents
from wgan.serve.machine.gpu import first_gpu
from wgan.serve.machine.install import install_command

SAME = 1e-5  # between runs of one engine, recorded or not
KEPT = ("runtime", "version", "compute_capabilities", "types_from", "half_layers")


def run(here: Here) -> None:
    """A row a runtime and precision."""
    made = generator(here)
    for name, extra in MODULES.items():
        if importlib.util.find_spec(name) is None:
            here.not_run(name, f"it is not installed: {install_command(extra)}")
            continue
        try:
            api = load_tensorrt(name)
        except BackendUnavailable as error:
            here.not_run(name, str(error))
            continue
        gpu = first_gpu()
        if gpu is not None and (why := unlisted(api, gpu)) is not None:
            here.not_run(name, why)
            continue
        for precision in ("fp16",) if here.tiny else ("fp32", "fp16"):
            what = f"{name} {precision}"
            if not here.short_of(what, 0 if here.tiny else 10):
                with only(name):
                    engine(here, what, made, precision)


@contextmanager
def only(name: str) -> Iterator[None]:
    """Hides the other TensorRT, where both are installed."""
    others = [other for other in MODULES if other != name]
    before = {other: sys.modules.pop(other) for other in others if other in sys.modules}
    for other in others:
        sys.modules[other] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        for other in others:
            del sys.modules[other]
        sys.modules.update(before)


def engine(here: Here, what: str, made: TrainedGenerator, precision: str) -> None:
    """One engine: the second build has what the first measured of its kernels."""
    with tempfile.TemporaryDirectory() as folder:
        builds = []
        try:
            for _ in range(1 if here.tiny else 2):
                began = time.perf_counter()
                built = exported(here, made, Path(folder), "trt", precision)
                builds.append(time.perf_counter() - began)
        except BackendUnavailable as error:
            here.not_run(what, str(error))
            return
        except WganError as error:
            here.tell(what, ok=False, why=str(error))
            return
        description = built.metadata.engine or {}
        figures: Row = {"export_s": builds, **{key: description.get(key) for key in KEPT}}
        report = built.metadata.parity or {}
        if built.passed is None:
            why = report.get("reason") if here.cuda else "an engine runs on a GPU alone"
            here.not_run(what, f"built in {builds[0]:.1f} s, and not run: {why}")
            return
        figures |= {key: report[key] for key in ("max_abs", "mean_abs", "worst_psnr_db")}
        differ, notices = differences(built, latents(0, 20 if here.tiny else 600, made.config.latent_dim))
        held = built.passed and differ <= SAME and not notices and description.get("types_from") == "engine"
        here.tell(what, ok=held, runs_differ_by=differ, notices=notices, **figures)


def differences(built: exporter.Exported, z: np.ndarray) -> tuple[float, list[str]]:
    """The most by which runs of one engine differ: plain, captured, launched, and without graphs; its notices."""
    whole: np.ndarray | None = None
    most, notices = 0.0, []
    for graphs in (True, False):
        with TrtBackend(artifact.read(built.path), "cuda", graphs=graphs) as backend:
            for _ in range(3):
                images = backend.run(z)
                whole = images if whole is None else whole
                most = max(most, float(np.abs(images - whole).max()))
            notices += [] if backend.notice is None else [backend.notice]
    return most, notices
