"""Engines that may run elsewhere too, proven by the process that built them; and what `--rebuild` makes up for."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from gpu.rows import Here
from tests.make import make_generator
from wgan.cli import main as wgan
from wgan.export import exporter
from wgan.export.recipe import file_name
from wgan.export.reference.generator import TrainedGenerator
from wgan.export.verify import verify_file
from wgan.serve.artifacts.artifact import read, sidecar, write_sidecar
from wgan.serve.backends.open import open_backend
from wgan.serve.backends.trt.api import load_tensorrt
from wgan.serve.backends.trt.build import BuildOptions
from wgan.serve.backends.trt.fit import TRUST
from wgan.serve.base.errors import BackendUnavailable, ConfigError, WganError

ELSEWHERE = {
    "version-compatible": BuildOptions(version_compatible=True),
    "hardware-compatible": BuildOptions(hardware_compatible=True),
}


def run(here: Here) -> None:
    """A row a kind of engine, then one a way in which an engine can be spoiled."""
    try:
        load_tensorrt()
    except BackendUnavailable as error:
        here.not_run("engines", str(error))
        return
    if not here.cuda:
        here.not_run("engines", "they are loaded and built anew on a GPU alone")
        return
    generator, most = make_generator(), 8 if here.tiny else 64
    with trust_as_it_was(), tempfile.TemporaryDirectory() as folder:
        plan = Path(folder) / file_name("trt", "fp32")
        for what, options in ELSEWHERE.items():
            try:
                (made,) = exporter.export(generator, plan.parent, ["trt"], max_batch=most, engine_options=options)
            except (BackendUnavailable, ConfigError) as error:  # TensorRT-RTX has neither
                here.not_run(what, str(error))
                continue
            proven(here, made, what)
            if options.version_compatible:
                trusted(here, plan, what)
        rebuilt(here, generator, plan, most)


@contextlib.contextmanager
def trust_as_it_was() -> Iterator[None]:
    """Nobody has said that engines are trusted; afterwards as before."""
    before = os.environ.pop(TRUST, None)
    try:
        yield
    finally:
        os.environ.pop(TRUST, None)
        if before is not None:
            os.environ[TRUST] = before


def proven(here: Here, engine: exporter.Exported, what: str) -> None:
    """Tells whether it equals PyTorch."""
    report = engine.metadata.parity or {}
    if engine.passed:
        here.tell(what, ok=True, max_abs=report["max_abs"])
    else:
        here.tell(what, ok=False, why="; ".join(engine.failures) or report.get("reason"))


def trusted(here: Here, plan: Path, what: str) -> None:
    """It brings code of its own: it loads only where that is said to be trusted."""
    try:
        open_backend(plan).close()
        refused = "it was loaded all the same"
    except BackendUnavailable as error:
        refused = str(error)
    if TRUST in refused:
        here.tell(f"{what}, nobody trusts it", ok=True)
    else:
        here.tell(f"{what}, nobody trusts it", ok=False, why=refused)
    os.environ[TRUST] = "1"
    proven(here, verify_file(plan, device="cuda"), f"{what}, read back from its file")
    del os.environ[TRUST]


def says(plan: Path, **changes: object) -> None:
    """Changes what its metadata says of it."""
    metadata = read(plan).metadata
    write_sidecar(plan, metadata.replace(engine={**(metadata.engine or {}), **changes}))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "of another version": lambda plan: says(plan, version="1.0"),
    "that may not run": lambda plan: says(plan, version_compatible=True),
    "without its metadata": lambda plan: sidecar(plan).unlink(),
    "cut short": lambda plan: plan.write_bytes(plan.read_bytes()[:100]),
    "that is not there": lambda plan: plan.unlink(),
}


def rebuilt(here: Here, generator: TrainedGenerator, plan: Path, most: int) -> None:
    """Each damage is made up for, and an engine that fits is left alone."""
    list(exporter.export(generator, plan.parent, ["onnx", "trt"], max_batch=most))
    for what, damage in DAMAGES.items():
        damage(plan)
        name = f"rebuilt: an engine {what}"
        try:
            if (code := sampled(plan, 3 * most // 2)) == 0:
                proven(here, verify_file(plan, device="cuda"), name)
            else:
                here.tell(name, ok=False, why=f"wgan sample --rebuild ended with {code}")
        except WganError as error:
            here.tell(name, ok=False, why=str(error))
    before = plan.read_bytes() if plan.is_file() else b""
    code = sampled(plan, 1)
    here.tell("an engine that fits stays", ok=code == 0 and plan.read_bytes() == before, exit_code=code)


def sampled(plan: Path, count: int) -> int:
    """The exit code of `wgan sample --rebuild`."""
    words = ["sample", "--model", str(plan), "-n", str(count), "--rebuild", "--out", str(plan.with_name("images.npy"))]
    with contextlib.redirect_stdout(sys.stderr):
        return wgan(words)
