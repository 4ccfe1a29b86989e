"""`wgan train`: from images to a run folder with checkpoints, records, samples and a report."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from wgan.serve.base.errors import ConfigError
from wgan.serve.base.files import atomic_write, writing
from wgan.training.config import Config
from wgan.training.distributed import World
from wgan.training.records.folder import RunFolder
from wgan.training.report import write_report
from wgan.training.run.auto_precision import settle
from wgan.training.run.interrupt import StopRequest
from wgan.training.run.journal import Journal
from wgan.training.run.scoring import Stopped
from wgan.training.run.session import Session
from wgan.training.step.growth import grown_after


@dataclass(frozen=True)
class Trained:
    """How a call of `train` ended."""

    run: Path
    step: int
    finished: bool  # False: stopped by a signal, state saved
    seconds: float
    images_per_second: float
    swd: float | None
    scores: dict[str, Any] | None  # FID and its like, where they were measured

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


def train(
    run: RunFolder,
    config: Config,
    *,
    device: torch.device,
    cache: Path,
    resume: bool = False,
    world: World | None = None,
) -> Trained:
    """Trains until ``config.steps`` generator updates are done, or a signal asks to stop.

    Args:
        run: a folder from `run.begin`, or from `run.reopen` to resume.
        config: all settings; to resume, those that `run.reopen` returned. The run keeps what `precision=auto` becomes.
        device: where to train.
        cache: where decoded images are kept between runs.
        resume: go on from the newest whole checkpoint.
        world: the processes that train together, if there are several.

    Raises:
        DatasetError: the images cannot be used.
        CheckpointError: nothing whole to resume from, or the disk is full.
        ConfigError: the run has done its steps, or they are too few for what it is to do.
        TrainingError: a loss is not finite, or a process was lost; the text says how to go on.
        OutputError: the disk is full; earlier checkpoints are whole.
    """
    began, world = time.monotonic(), world or World()
    seen = (config.steps - 1) * config.reals_per_step
    if (needed := grown_after(config)) > seen:
        raise ConfigError(
            f"progressive: {config.image_size} px are reached after {needed:,} real images, the last of "
            f"{config.steps:,} steps begins after {seen:,}: lower phase_images or raise steps"
        )
    config, notes = settle(config, device, run.read_config() if resume else None, world)
    session = Session(run, config, device, cache, world)
    if resume:
        notes += session.restore()
    first = session.step
    if first >= config.steps:
        raise ConfigError(f"{run.path} has done its {first} steps: add steps=N to train longer")
    if first == 0:
        notes += session.begin()
    if world.first:
        # only now: a run that cannot begin or go on is left as it was
        run.create(config)
        session.describe()
    session.set_damaged_aside()
    prepared = time.monotonic() - began

    journal = Journal(run.metrics, run.path / "tensorboard", config, first_step=first, silent=not world.first)
    with writing(run.path), journal, StopRequest(journal.note, patient=world.size > 1) as stop:
        others = f" in {world.size} processes" if world.size > 1 else ""
        journal.note(f"{'going on in' if first else 'training into'} {run.path} on {device}{others}")
        before = journal.seconds
        clock = Clock(before)
        logged_at, logged_step = before, first
        if first:
            journal.keep({"kind": "event", "step": first, "message": "resumed"})
        journal.note_broken(session.data.broken, cache)

        def measuring(done: int, total: int, what: str) -> None:
            if stop.requested:
                raise Stopped
            journal.doing(done, total, what)

        def look(validate: bool, score: bool = False) -> None:
            """A sample grid of this step and, if asked for, its distances to real images."""
            session.check_finite()
            if not world.first:
                return
            generator = session.trainer.deployable()
            journal.image("samples", session.sample_grid(generator), session.step)
            if validate:
                found = session.validate(generator)
                if session.step == 0:
                    found["floor_levels"] = session.floor()
                journal.keep({"kind": "validation", "step": session.step, **found})
            if score and (scores := session.score(generator, measuring)):
                journal.keep({"kind": "inception", "step": session.step, **scores})

        def tell(lines: list[str]) -> None:
            for line in lines:
                journal.note(line)
                journal.keep({"kind": "event", "step": session.step, "message": line})

        tell(notes)
        tell(session.scoring.notes)
        if world.agreed(session.scoring.unfinished):
            with clock.paused():
                look(validate=False, score=True)
                if world.agreed(session.is_best):
                    session.save()
        if first == 0:
            with clock.paused():
                look(validate=True)  # the untrained generator, to compare with
                session.save()

        stopped = False
        while session.step < config.steps and not stopped:
            session.iterate()
            tell(session.trainer.fast.told())
            step = session.step
            last = step == config.steps

            if step % config.log_every == 0 or last:
                session.check_finite()
                window, logged_at, done = clock.seconds - logged_at, clock.seconds, step - logged_step
                logged_step = step
                values = session.trainer.watch.drain()
                values["images_per_second"] = done * config.reals_per_step / window
                images = session.trainer.images
                journal.keep({"kind": "train", "step": step, "images": images, **values, "seconds": clock.seconds})
                swd = {} if session.swd is None else {"swd": session.swd}
                journal.update(step, values | swd | (session.scoring.last or {}))

            with clock.paused():
                validating = step % config.validate_every == 0 or last
                scoring = world.agreed(session.scoring.due(step))
                if validating or scoring or step % config.sample_every == 0:
                    look(validating, scoring)
                if last or step % config.checkpoint_every == 0 or world.agreed(session.is_best):
                    session.save()
            stopped = world.any(stop.requested)

        if stopped and session.step < config.steps:
            journal.note(f"saved {session.save()}")

    trained = clock.seconds
    if world.first:
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
        scores=session.scoring.last,
    )
