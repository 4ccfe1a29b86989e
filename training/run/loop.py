"""`wgan train`: from images to a run folder with checkpoints, records, samples and a report."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from wgan.serve.base.command import or_again
from wgan.serve.base.errors import ConfigError
from wgan.serve.base.files import atomic_write, writing
from wgan.serve.base.terminal import counted
from wgan.training.config import ACCEPT, Config
from wgan.training.distributed import World
from wgan.training.records import checkpoint
from wgan.training.records.folder import RunFolder
from wgan.training.records.standing import Standing, standing
from wgan.training.records.ways_on import going_on, same_again
from wgan.training.report import write_report
from wgan.training.run.auto_precision import settle
from wgan.training.run.clock import Clock
from wgan.training.run.interrupt import StopRequest
from wgan.training.run.journal import Journal
from wgan.training.run.looks import Looks
from wgan.training.run.minutes import settle_minutes
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
    standing: Standing
    mirror: str | None = None  # the address that all of it was pushed to

    def to_dict(self) -> dict[str, Any]:
        """For `--json`; ``best`` is what export takes."""
        values = {name: value for name, value in vars(self).items() if name != "standing"}
        return {**values, "run": str(self.run), **self.standing.to_dict()}

    def to_text(self) -> str:
        """For people: how it ended, and which generator `wgan export` takes."""
        pushed = "" if self.mirror is None else f", pushed to {self.mirror}"
        return f"{'trained' if self.finished else 'stopped, saved'}: {self.run}{pushed}\n{self.standing}"


def train(
    run: RunFolder,
    config: Config,
    *,
    device: torch.device,
    cache: Path,
    resume: bool = False,
    world: World | None = None,
    notes: Sequence[str] = (),
) -> Trained:
    """Trains until ``config.steps`` generator updates are done, or a signal asks to stop.

    Args:
        run: a folder from `run.begin`, or from `run.reopen` to resume.
        config: all settings; to resume, those that `run.reopen` returned. The run keeps what `precision=auto` becomes.
        device: where to train.
        cache: where decoded images are kept between runs.
        resume: go on from the newest whole checkpoint.
        world: the processes that train together, if there are several.
        notes: lines to tell and to keep with the run, such as where its settings come from.

    Raises:
        DatasetError: the images cannot be used.
        CheckpointError: nothing whole to resume from, or its images have changed and that was not accepted.
        ConfigError: the run has done its steps, or they are too few for what it is to do.
        TrainingError: a loss is not finite, or a process was lost; the text says how to go on.
        OutputError: the disk is full; earlier checkpoints are whole. Or the run is whole here, and not in its mirror.
        StoreError: its mirror cannot be reached at the beginning.
    """
    began, world = time.monotonic(), world or World()
    session, more = _open(run, config, device, cache, resume, world)
    config, first = session.config, session.step
    prepared = time.monotonic() - began

    journal = Journal(run.metrics, run.path / "tensorboard", config, first_step=first, silent=not world.first)
    with writing(run.path), journal, StopRequest(journal.note, patient=world.size > 1) as stop:
        clock = Clock(journal.seconds)
        looks = Looks(session, journal, clock, stop)
        looks.before_steps([*notes, *more], cache)

        stopped = False
        try:
            while session.step < config.steps and not stopped:
                session.iterate()
                looks.after_step()
                stopped = world.any(stop.requested or run.mirror.taken)
        except KeyboardInterrupt:
            journal.note(f"stopped at once; to go on from the last checkpoint: `{same_again(run)}`")
            raise

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
        images_per_second=(session.step - first) * config.reals_per_step / max(trained - clock.before, 1e-9),
        swd=session.swd,
        scores=session.feature_distances.last,
        standing=standing(run.path),
        mirror=run.mirror.finish(session.step),
    )


def pushed_alone(run: RunFolder, config: Config) -> Trained | None:
    """Pushes a run that has done its steps, where that was left undone; None where there are steps to do."""
    began, steps = time.monotonic(), checkpoint.list_steps(run.checkpoints)
    state = checkpoint.peek(steps[-1]) if steps else None
    if state is None or (step := int(state["step"])) < config.steps or not run.mirror.behind:
        return None
    run.mirror.claim(config.keep_checkpoints)
    address = run.mirror.finish(step)
    seconds = time.monotonic() - began
    return Trained(run.path, step, True, seconds, 0.0, state.get("swd"), None, standing(run.path), address)


def _open(
    run: RunFolder, config: Config, device: torch.device, cache: Path, resume: bool, world: World
) -> tuple[Session, list[str]]:
    """The run, ready for its next step, and what a person must know of it. Its folder changes only if it can go on."""
    accept = config.data_changed == ACCEPT
    if accept and not resume:
        way = or_again("--resume", of=("train",), without=("--config",))
        raise ConfigError(f"data_changed=accept is for a run that goes on: {way}; for a new one leave it out")
    config = config.replace(data_changed=Config.data_changed)  # once and not kept: another change is asked for again
    config, notes = settle(config, device, world.same(run.read_config) if resume else None, world)
    if not resume:
        config, more = settle_minutes(config, device, world)
        notes += more
    _check_growth(config)
    session = Session(run, config, device, cache, world)
    if resume:
        notes += session.restore(accept=accept)
    last = session.step == config.steps and resume  # saved by a process that may have been killed before its end
    if session.step >= config.steps and not (last and not world.same(lambda: run.ended)):
        longer = going_on(run, {"steps": 2 * session.step}, config)
        raise ConfigError(f"{run.path} has done its {counted(session.step, 'step')}: to train longer: `{longer}`")
    if session.step == 0:
        notes += session.begin()
    if world.first:
        run.mirror.claim(config.keep_checkpoints)
        run.create(config)
        session.describe()
    session.set_damaged_aside()
    session.accept_data()
    return session, notes


def _check_growth(config: Config) -> None:
    """Refuses a run that ends before it has grown."""
    seen = (config.steps - 1) * config.reals_per_step
    if (needed := grown_after(config)) > seen:
        longer = or_again(f"steps={-(-needed // config.reals_per_step) + 1}", of=("train", "demo"))
        raise ConfigError(
            f"progressive: {config.image_size} px are reached after {needed:,} real images, the last of "
            f"{counted(config.steps, 'step')} begins after {seen:,}: lower phase_images or raise steps: {longer}"
        )
