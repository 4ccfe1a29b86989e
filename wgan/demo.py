"""`wgan demo`: the whole way on the built-in faces, ending in a page to look at."""

import json
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from wgan.export import exporter
from wgan.export.recipe import EXPORTERS, file_name
from wgan.export.reference.generator import load_generator
from wgan.export.table import parity_table
from wgan.export.verify import verify_file
from wgan.serve.backends.open import open_backend
from wgan.serve.backends.pytorch.device import torch_device, why_cpu
from wgan.serve.base.errors import BackendUnavailable, ExportError, ParityError
from wgan.serve.base.files import atomic_write
from wgan.serve.base.owner import FOREVER, own
from wgan.serve.bench.speed import measure_speed
from wgan.serve.outputs.open import open_output
from wgan.serve.sampling.sampler import BATCH, sample
from wgan.training import config
from wgan.training.records import checkpoint
from wgan.training.records import folder as runs
from wgan.training.records.history import read
from wgan.training.report import write_report
from wgan.training.report.data import read_json
from wgan.training.run.loop import train

PRESET = "demo"


@dataclass(frozen=True)
class Demo:
    """What the demo made and measured."""

    report: Path
    finished: bool  # False: interrupted while training, state saved
    artifacts: list[exporter.Exported]
    speeds: list[dict[str, Any]]
    untrained_swd: dict[str, float]
    trained_swd: dict[str, float]
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether every artifact that can run here matches PyTorch."""
        return all(entry.passed is not False for entry in self.artifacts)

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "report": str(self.report),
            "finished": self.finished,
            "passed": self.passed,
            "artifacts": [entry.to_dict() for entry in self.artifacts],
            "sampling": self.speeds,
            "untrained_swd": self.untrained_swd,
            "trained_swd": self.trained_swd,
            "seconds": self.seconds,
        }

    def to_text(self) -> str:
        """For people."""
        if not self.finished:
            return "stopped, saved: run the same command to go on"
        before, after = (sum(swd.values()) / len(swd) for swd in (self.untrained_swd, self.trained_swd))
        lines = [
            parity_table(self.artifacts),
            *(
                f"{row['backend']:<12} {row['precision']} on {row['device']}: {row['images_per_second']:,.0f} images/s"
                for row in self.speeds
            ),
            f"sliced Wasserstein distance to held-out faces: {before:.1f} untrained, {after:.1f} trained",
            f"report: {self.report}",
        ]
        return "\n".join(lines)


def run_demo(path: Path, changes: dict[str, Any], device: str, say: Callable[[str], None]) -> Demo:
    """Trains the `demo` preset (or goes on with it), exports all that can be built here, verifies, samples.

    Args:
        path: run folder.
        changes: settings over the preset.
        device: auto, cpu or cuda: where to train, measure and sample.
        say: takes lines about the progress.

    Raises:
        WganError: as the steps raise it.
    """
    with ExitStack() as held:
        held.enter_context(own(path, say))
        return _run(path, changes, device, say, held)


def _run(path: Path, changes: dict[str, Any], device: str, say: Callable[[str], None], held: ExitStack) -> Demo:
    began = time.monotonic()
    timings: dict[str, float] = {}
    tell = _once(say)
    where = torch.device(torch_device(device))
    tell(why_cpu(device))
    wanted = config.from_dict(changes, base=config.load(PRESET))
    started = runs.RunFolder(path).config.is_file()
    folder, wanted = runs.reopen(path, changes) if started else (runs.begin(path), wanted)
    if not _trained(folder, wanted):
        result = train(folder, wanted, device=where, cache=path.parent / ".cache", resume=started)
        timings["training"] = result.seconds
        if not result.finished:
            return Demo(path / "report.html", False, [], [], {}, {}, time.monotonic() - began)
    target = path / "export"
    held.enter_context(own(target, say, patience=FOREVER))
    generator = load_generator(checkpoint.find(path, "last", say))

    mark = time.monotonic()
    made: list[Path] = []  # others in the folder may be of an earlier generator
    for kind in EXPORTERS:
        try:
            for exported in exporter.export(generator, target, [kind], device=device):
                say(f"wrote {exported.path}")
                tell(exported.notice)
                made.append(exported.path)
        except (BackendUnavailable, ExportError) as error:
            if kind != "trt" or isinstance(error, ParityError):
                raise
            say(f"no engine: {error}")
    timings["export, measured"] = time.monotonic() - mark

    mark = time.monotonic()
    artifacts = [verify_file(file, device=device, required=False) for file in made]
    timings["verify"] = time.monotonic() - mark

    mark = time.monotonic()
    speeds = []
    for file in [
        target / exporter.REFERENCE,
        *(entry.path for entry in artifacts if entry.passed is not None),
    ]:
        with open_backend(file, device=device) as backend:
            speeds.append(measure_speed(backend, BATCH))
    timings["measuring speed"] = time.monotonic() - mark

    mark = time.monotonic()
    with open_backend(target / file_name("onnx", "fp32"), device=device) as backend:
        text = {"model": backend.digest}
        with open_output(path / "generated", count=BATCH, first=0, text=text) as output:
            for first, images, _ in sample(backend, 0, BATCH, BATCH):
                output.write(first, images)
    timings["sampling 64 images"] = time.monotonic() - mark

    validations = [entry for entry in read(folder.metrics) if entry["kind"] == "validation"]
    atomic_write(path / "sampling.json", json.dumps({"rows": speeds}).encode())
    before = read_json(folder.timings)
    atomic_write(folder.timings, json.dumps({**before, **timings}).encode())
    report = write_report(path)
    return Demo(
        report=report,
        finished=True,
        artifacts=artifacts,
        speeds=speeds,
        untrained_swd=validations[0]["swd_levels"],
        trained_swd=validations[-1]["swd_levels"],
        seconds=time.monotonic() - began,
    )


def _trained(folder: runs.RunFolder, wanted: config.Config) -> bool:
    return checkpoint.step_path(folder.checkpoints, wanted.steps).is_file()


def _once(say: Callable[[str], None]) -> Callable[[str | None], None]:
    """Says each line once, and nothing for None."""
    said: set[str | None] = {None}

    def tell(text: str | None) -> None:
        if text is not None and text not in said:
            said.add(text)
            say(text)

    return tell
