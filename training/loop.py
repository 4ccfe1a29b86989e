"""`wgan train`: from images to a run folder with checkpoints, records, samples and a report."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from wgan.serve.errors import ConfigError
from wgan.serve.files import atomic_write, writing
from wgan.training.advice import Adviser
from wgan.training.config import Config
from wgan.training.history import History, read, seconds
from wgan.training.interrupt import StopRequest
from wgan.training.progress import Progress
from wgan.training.report import write_report
from wgan.training.run import RunFolder
from wgan.training.session import Session
from wgan.training.tensorboard import TensorBoard

SHOWN_BROKEN = 10  # files named on the terminal


@dataclass(frozen=True)
class Trained:
    """How a call of `train` ended."""

    run: Path
    step: int
    finished: bool  # False: stopped by a signal, state saved
    seconds: float
    images_per_second: float
    swd: float | None

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {**vars(self), "run": str(self.run)}


class Clock:
    """Seconds spent on training alone: what is looked at and saved in between does not count.

    Args:
        before: seconds to go on from: those of a run before it was resumed.
    """

    def __init__(self, before: float = 0.0) -> None:
        self._began, self._away = time.monotonic() - before, 0.0

    @contextmanager
    def paused(self) -> Iterator[None]:
        """The time of the block is left out."""
        began = time.monotonic()
        yield
        self._away += time.monotonic() - began

    @property
    def seconds(self) -> float:
        """So far."""
        return time.monotonic() - self._began - self._away


def train(run: RunFolder, config: Config, *, device: torch.device, cache: Path, resume: bool = False) -> Trained:
    """Trains until ``config.steps`` generator updates are done, or a signal asks to stop.

    Args:
        run: a folder from `run.begin`, or from `run.reopen` to resume.
        config: all settings; to resume, those that `run.reopen` returned.
        device: where to train.
        cache: where decoded images are kept between runs.
        resume: go on from the newest whole checkpoint.

    Raises:
        DatasetError: the images cannot be used.
        CheckpointError: nothing whole to resume from, or the disk is full.
        ConfigError: the run has done its steps.
        TrainingError: a loss is not finite; the text names the last good checkpoint.
        OutputError: the disk is full; earlier checkpoints are whole.
    """
    began = time.monotonic()
    session = Session(run, config, device, cache)
    if resume:
        session.restore()
    else:
        run.create(config)
    first = session.step
    if first >= config.steps:
        raise ConfigError(f"{run.path} has done its {first} steps: add steps=N to train longer")
    session.describe()
    prepared = time.monotonic() - began

    with (
        writing(run.path),
        History(run.metrics) as history,
        TensorBoard(run.path / "tensorboard", purge_step=first + 1 if first else None) as board,
        Progress(config.steps, first_step=first, stream=sys.stderr) as progress,
        StopRequest(progress.note) as stop,
    ):
        history.rewind(first)
        progress.note(f"{'going on in' if first else 'training into'} {run.path} on {device}")
        past = read(run.metrics)
        adviser = Adviser(config, past)
        before = seconds(past)
        clock = Clock(before)
        logged_at, logged_step = before, first

        def keep(record: dict[str, Any]) -> None:
            history.append(record)
            board.record(record)
            for advice in adviser.see(record):
                progress.note(f"advice at step {advice['step']:,}: {advice['message']}")
                history.append(advice)
                board.record(advice)

        if first:
            keep({"kind": "event", "step": first, "message": "resumed"})
        broken = session.data.broken
        for reason in broken[:SHOWN_BROKEN]:
            progress.note(f"skipped {reason}")
        if len(broken) > SHOWN_BROKEN:
            progress.note(f"skipped {len(broken) - SHOWN_BROKEN:,} more: {cache}/*.broken.txt names them all")

        def look(validate: bool) -> None:
            """A sample grid of this step and, if asked for, its distance to real images."""
            session.check_finite()
            generator = session.trainer.deployable()
            board.image("samples", session.sample_grid(generator), session.step)
            if validate:
                found = session.validate(generator)
                if session.step == 0:
                    found["floor_levels"] = session.floor()
                keep({"kind": "validation", "step": session.step, **found})

        if first == 0:
            with clock.paused():
                look(validate=True)  # the untrained generator, to compare with
                session.save()

        while session.step < config.steps and not stop.requested:
            session.iterate()
            step = session.step
            last = step == config.steps

            if step % config.log_every == 0 or last:
                session.check_finite()
                window, logged_at, done = clock.seconds - logged_at, clock.seconds, step - logged_step
                logged_step = step
                values = session.trainer.drain()
                values["images_per_second"] = done * config.reals_per_step / window
                images = step * config.reals_per_step
                keep({"kind": "train", "step": step, "images": images, **values, "seconds": clock.seconds})
                swd = {} if session.swd is None else {"swd": session.swd}
                progress.update(step, values | swd)

            with clock.paused():
                validating = step % config.validate_every == 0 or last
                if validating or step % config.sample_every == 0:
                    look(validating)
                if last or session.is_best or step % config.checkpoint_every == 0:
                    session.save()

        if stop.requested and session.step < config.steps:
            progress.note(f"saved {session.save()}")

    trained = clock.seconds
    timings = {"preparing the images": prepared, "training": trained}
    atomic_write(run.timings, json.dumps(timings).encode())
    write_report(run.path)
    return Trained(
        run=run.path,
        step=session.step,
        finished=session.step >= config.steps,
        seconds=time.monotonic() - began,
        images_per_second=(session.step - first) * config.reals_per_step / (trained - before),
        swd=session.swd,
    )
