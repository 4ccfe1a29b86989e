"""`wgan demo`: the whole way on the built-in faces, ending in a page to look at."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from wgan.export import exporter
from wgan.export.recipe import ALL, file_name
from wgan.export.reference.generator import find_generator
from wgan.export.table import parity_table
from wgan.export.verify import verify_file
from wgan.serve.artifacts.formats import backends_of, format_by_ending
from wgan.serve.artifacts.origin import BEST
from wgan.serve.backends.open import open_backend
from wgan.serve.backends.pytorch.device import torch_device, why_cpu
from wgan.serve.base.command import command
from wgan.serve.base.errors import BackendUnavailable, ExportError, ParityError
from wgan.serve.base.files import atomic_write
from wgan.serve.base.owner import FOREVER, own
from wgan.serve.bench.speed import measure_speed
from wgan.serve.latents.sources import from_table
from wgan.serve.machine.hardware import computes_on
from wgan.serve.outputs.folder import emptied
from wgan.serve.sampling.run import Job
from wgan.serve.sampling.sampler import BATCH
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
    go_on: str  # the command that does, where it was interrupted

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
            return f"stopped, saved: {self.report.parent}"
        before, after = (fmean(swd.values()) for swd in (self.untrained_swd, self.trained_swd))
        lines = [
            parity_table(self.artifacts),
            *map(_speed_line, self.speeds),
            f"sliced Wasserstein distance to held-out faces: {before:.1f} untrained, {after:.1f} trained",
            f"report: {self.report}",
        ]
        return "\n".join(lines)


def _speed_line(row: dict[str, Any]) -> str:
    """A speed with its conditions."""
    others = row.get("load_others")
    beside = "" if others is None or others <= row["load_limit"] else f", beside {others:.1f} cores of other work"
    rate = f"{row['images_per_second']:,.0f} images/s in batches of {row['batch']}"
    return f"{row['backend']:<12} {row['precision']}: {rate}, {row['machine']}{beside}"


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
    began = time.monotonic()
    same = command("demo", "--run", path, "--device", device, **changes)
    with own(path, say):
        tour = _Tour(path, device, _once(say))
        if not tour.train(changes):
            return Demo(path / "report.html", False, [], [], {}, {}, time.monotonic() - began, same)
        with own(tour.target, say, patience=FOREVER):
            artifacts = tour.verify(tour.export())
            speeds = tour.measure_speeds(artifacts)
            tour.sample()
            report = tour.write_report(speeds)
    validations = [entry for entry in read(tour.folder.metrics) if entry["kind"] == "validation"]
    shipped = [entry for entry in validations if entry["step"] == tour.shipped] or validations
    return Demo(
        report=report,
        finished=True,
        artifacts=artifacts,
        speeds=speeds,
        untrained_swd=validations[0]["swd_levels"],
        trained_swd=shipped[-1]["swd_levels"],
        seconds=time.monotonic() - began,
        go_on=same,
    )


class _Tour:
    """The stages of the demo, one after the other, in a folder that the caller owns; `timings` has their seconds."""

    def __init__(self, path: Path, device: str, tell: Callable[[str | None], None]):
        self.folder = runs.RunFolder(path)
        self.target = path / "export"
        self.timings: dict[str, float] = {}
        self.shipped: int | None = None  # the step of the generator that was exported
        self._device, self._tell = device, tell

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.timings[name] = time.monotonic() - began

    def train(self, changes: dict[str, Any]) -> bool:
        """Trains, or goes on, unless all steps are done. Returns whether they are."""
        where = torch.device(torch_device(self._device))
        self._tell(why_cpu(self._device))
        wanted = config.from_dict(changes, base=config.load(PRESET))
        path, started = self.folder.path, self.folder.config.is_file()
        folder, wanted = runs.reopen(path, changes) if started else (runs.begin(path), wanted)
        if checkpoint.step_path(folder.checkpoints, wanted.steps).is_file():
            return True
        result = train(folder, wanted, device=where, cache=path.parent / ".cache", resume=started)
        self.timings["training"] = result.seconds
        return result.finished

    def export(self) -> list[Path]:
        """Every format that can be built here; others in the folder may be of an earlier generator."""
        generator = find_generator(self.folder.path, BEST, self._tell)
        self.shipped = generator.step
        made: list[Path] = []
        with self._stage("export, measured"):
            for kind in ALL:
                try:
                    for exported in exporter.export(generator, self.target, [kind], device=self._device):
                        self._tell(f"wrote {exported.path}")
                        self._tell(exported.notice)
                        made.append(exported.path)
                except (BackendUnavailable, ExportError) as error:
                    if kind != "trt" or isinstance(error, ParityError):
                        raise
                    self._tell(f"no engine: {error}")
        return made

    def verify(self, made: list[Path]) -> list[exporter.Exported]:
        """What is measured of each as any user would open it."""
        with self._stage("verify"):
            return [verify_file(file, device=self._device, required=False) for file in made]

    def measure_speeds(self, artifacts: list[exporter.Exported]) -> list[dict[str, Any]]:
        """Of each backend that runs here: of PyTorch the checkpoint."""
        speeds = []
        files = [self.target / exporter.REFERENCE, *(entry.path for entry in artifacts if entry.passed is not None)]
        by_backend = {
            backends_of(kind.name)[0].name: file for file in reversed(files) if (kind := format_by_ending(file))
        }
        with self._stage("measuring speed"):
            for file in sorted(by_backend.values(), key=files.index):
                with open_backend(file, device=self._device) as backend:
                    row = measure_speed(backend, BATCH)
                    speeds.append({**row, "machine": computes_on(backend.device)})
        return speeds

    def sample(self) -> None:
        """64 images by the ONNX file, into generated/ in place of those that an earlier demo of this run made."""
        onnx = self.target / file_name("onnx", "fp32")
        generated = self.folder.path / "generated"
        with self._stage("sampling 64 images"), open_backend(onnx, device=self._device) as backend:
            emptied(generated)
            source = from_table(backend.metadata.latent.dim, 0, BATCH, None)
            Job(backend, source, None, BATCH).in_own_folder(generated, self._tell)

    def write_report(self, speeds: list[dict[str, Any]]) -> Path:
        """The page, with all of it."""
        atomic_write(self.folder.path / "sampling.json", json.dumps({"rows": speeds}).encode())
        before = read_json(self.folder.timings)
        atomic_write(self.folder.timings, json.dumps({**before, **self.timings}).encode())
        return write_report(self.folder.path)


def _once(say: Callable[[str], None]) -> Callable[[str | None], None]:
    """Says each line once, and nothing for None."""
    said: set[str | None] = {None}

    def tell(text: str | None) -> None:
        if text is not None and text not in said:
            said.add(text)
            say(text)

    return tell
