"""What happens between the steps of a run: records, sample grids, distances to real images, checkpoints."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from wgan.training.report import write_report
from wgan.training.run.changed_data import POSITION, renew_best
from wgan.training.run.clock import Clock
from wgan.training.run.interrupt import StopRequest
from wgan.training.run.journal import Journal
from wgan.training.run.periodic_features import MeasurementStopped
from wgan.training.run.session import Session


class Looks:
    """Each thing every so many steps, as the run's settings have it. In every process; the first one writes.

    Args:
        session: the run.
        journal: takes its records.
        clock: stands still while the run is looked at.
        stop: a request ends a long measurement early.
    """

    def __init__(self, session: Session, journal: Journal, clock: Clock, stop: StopRequest):
        self._session, self._journal, self._clock, self._stop = session, journal, clock, stop
        self._logged_at, self._logged_step = clock.before, session.step

    def before_steps(self, notes: Iterable[str], cache: Path) -> None:
        """Tells what the run begins with, measures what a signal cut short, and looks at an untrained generator.

        Args:
            notes: lines that a person must know.
            cache: where the names of skipped images are.
        """
        session, journal = self._session, self._journal
        others = f" in {session.world.size} processes" if session.world.size > 1 else ""
        begun = "going on in" if session.step else "training into"
        journal.note(f"{begun} {session.run.path} on {session.device}{others}")
        if session.step:
            journal.keep({"kind": "event", "step": session.step, "message": "resumed"})
        if session.data_change is not None:
            journal.note(f"the data {session.data_change.told()}; {POSITION}")
            journal.keep(session.data_change.record(session.step))  # without names, as records are shown to others
        if session.data.skipped is not None:
            journal.note(session.data.skipped)
        journal.note_broken(session.data.broken, cache)
        self._tell(notes)
        self._tell(session.feature_distances.notes)
        if session.world.agreed(session.best.outdated) or (session.step and session.data_change is not None):
            with self._clock.paused():
                self._compare_anew()
                session.save()
        if session.world.agreed(session.feature_distances.unfinished):
            with self._clock.paused():
                self._look(validate=False, features=True)
                if session.world.agreed(session.is_best):
                    session.save()
        if session.step == 0:
            with self._clock.paused():
                self._look(validate=True, floor=True)  # to compare with
                session.save()
                if session.world.first:
                    write_report(session.run.path)
        session.run.mirror.changed()

    def after_step(self) -> None:
        """Records, looks and saves, whatever is due at this step; all of it after the last one."""
        session, config = self._session, self._session.config
        self._tell(session.trainer.fast.told())
        step = session.step
        last = step == config.steps
        if step % config.log_every == 0 or last:
            self._record()
        with self._clock.paused():
            validate = step % config.validate_every == 0 or last
            features = session.world.agreed(session.feature_distances.due(step))
            if validate or features or step % config.sample_every == 0:
                self._look(validate, features)
            saved = last or step % config.checkpoint_every == 0 or session.world.agreed(session.is_best)
            if saved:
                session.save()
            if validate and session.world.first:
                write_report(session.run.path)  # what is saved by now
            if saved and not last:  # after the last one everything is pushed
                session.run.mirror.changed()
            for line in session.run.mirror.told():
                self._journal.note(line)

    def _record(self) -> None:
        """The means of all that was watched since the last record, and the speed."""
        session, clock = self._session, self._clock
        session.check_finite()
        window, done = clock.seconds - self._logged_at, session.step - self._logged_step
        self._logged_at, self._logged_step = clock.seconds, session.step
        values = session.trainer.watch.drain()
        values["images_per_second"] = done * session.config.reals_per_step / window
        where = {"step": session.step, "images": session.trainer.images}
        self._journal.keep({"kind": "train", **where, **values, "seconds": clock.seconds})
        self._journal.update(session.step, values | self._distances())

    def _distances(self) -> dict[str, Any]:
        """The last ones that were measured."""
        swd = {} if self._session.swd is None else {"swd": self._session.swd}
        return swd | (self._session.feature_distances.last or {})

    def _compare_anew(self) -> None:
        """Measures the best and this step against data that has changed."""
        if self._session.world.first and self._session.best.outdated:
            line = renew_best(self._session, self._measuring)
            self._tell([] if line is None else [line])
        self._look(validate=True, floor=True)

    def _look(self, validate: bool, features: bool = False, floor: bool = False) -> None:
        """A sample grid of this step and, if asked for, its distances to real images, and those of other real ones."""
        session = self._session
        session.check_finite()
        if not session.world.first:
            return
        generator = session.trainer.deployable()
        self._journal.image("samples", session.pictures.grid(generator, session.step), session.step)
        if validate:
            record = session.validate(generator)
            if floor:
                record["floor_levels"] = session.floor()
            self._journal.keep({"kind": "validation", "step": session.step, **record})
        if features and (distances := session.measure_features(generator, self._measuring)):
            self._journal.keep({"kind": "inception", "step": session.step, **distances})
        self._journal.update(session.step, self._distances())
        if validate and (near := session.pictures.of_validation(generator, session.step, session.best.step)):
            self._journal.keep({"kind": "nearest", "step": session.step, **near})

    def _measuring(self, done: int, total: int, what: str) -> None:
        if self._stop.requested:
            raise MeasurementStopped
        self._journal.doing(done, total, what)

    def _tell(self, lines: Iterable[str]) -> None:
        for line in lines:
            self._journal.note(line)
            self._journal.keep({"kind": "event", "step": self._session.step, "message": line})
