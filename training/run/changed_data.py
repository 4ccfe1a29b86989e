"""A run that goes on with other images than it was trained on so far: what is said, and what is measured anew."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wgan.serve.base.errors import CheckpointError
from wgan.serve.base.terminal import counted
from wgan.training.config import ACCEPT, Config
from wgan.training.data import ImageSet, contents
from wgan.training.data.changes import Changes, compare, some
from wgan.training.measures.inception import ProgressFn
from wgan.training.networks import Stage
from wgan.training.records import checkpoint
from wgan.training.records.folder import RunFolder
from wgan.training.records.ways_on import anew, going_on
from wgan.training.run.best import SWD

if TYPE_CHECKING:
    from wgan.training.run.session import Session

POSITION = "the position in the data starts anew"


@dataclass(frozen=True)
class DataChange:
    """The data of a checkpoint, and that which it is to go on with."""

    digests: tuple[str, str]  # before and now
    images: tuple[int, int]
    changes: Changes | None  # None where it is not known which images they were

    @classmethod
    def of(cls, run: RunFolder, state: dict[str, Any], data: ImageSet) -> "DataChange | None":
        """What has changed since the checkpoint ``state``; None where nothing has."""
        if state["data"] == data.digest:
            return None
        before = contents.read(run.contents, state["data"])
        now = None if data.contents is None else contents.unpack(data.contents, data.digest)
        changes = None if before is None or now is None else compare(before, now)
        return cls((str(state["data"]), data.digest), (int(state["stream"]["count"]), len(data)), changes)

    @property
    def counts(self) -> str:
        """`had 100 images, has 124 now`."""
        before, now = self.images
        return f"had {counted(before, 'image')}, has {now:,} now"

    def told(self) -> str:
        """What a person is to know, with the first names."""
        if self.changes is None:
            return f"{self.counts}; which ones changed is not known, as the run has no list of those it had"
        return f"{self.counts}: {self.changes.told() or 'the same names and pixels, in other classes'}"

    def record(self, step: int) -> dict[str, Any]:
        """For the history: counts and no names, as records are shown to others."""
        kinds = {} if self.changes is None else self.changes.counts()
        counted = "".join(f", {count:,} {kind}" for kind, count in kinds.items() if count)
        before, now = (digest[:8] for digest in self.digests)
        message = f"the data changed: {self.counts}{counted}; digest {before}… became {now}…; {POSITION}"
        data = {"digests": list(self.digests), "images": list(self.images), **kinds}
        return {"kind": "event", "step": step, "message": message, "data": data}

    def refusal(self, config: Config, run: RunFolder) -> CheckpointError:
        """The line that says what has changed, and both ways on."""
        accept = going_on(run, {"data_changed": ACCEPT}, config)
        fresh = anew(run, {"init_generator": run.path, "init_critic": run.path}, config)
        return CheckpointError(
            f"{config.data} is not the data that {run.path} was trained on, it {self.told()}: to go on with it "
            f"({POSITION}, everything else goes on): `{accept}`; "
            f"to start a new run from these networks: `{fresh}`"
        )


def check_classes(saved: Sequence[str] | None, now: Sequence[str] | None, config: Config, run: RunFolder) -> None:
    """Refuses other classes than a conditional run has: its networks have a row for each of these, and for no other.

    Raises:
        CheckpointError: names those that are new and those that are gone.
    """
    before, after = saved or (), now or ()
    if list(before) == list(after):
        return
    new, gone = ([name for name in some_ if name not in other] for some_, other in ((after, before), (before, after)))
    parts = [f"{len(names):,} {what} ({some(names)})" for what, names in (("new", new), ("gone", gone)) if names]
    how = ", ".join(parts) or "in another order"
    raise CheckpointError(
        f"the classes of {config.data} are not those that this run was trained on: {how}; "
        "its networks have these classes for good, with data_changed=accept too: put the folders back as they were, "
        f"or start a new run: `{anew(run, config=config)}`"
    )


def renew_best(session: "Session", progress: ProgressFn) -> str | None:
    """Measures `best.pt` against the data of now, so that the next ones are compared with a value of their own kind.

    Returns:
        A line that says so; None where a signal ended it, and the next start makes up for it.
    """
    best = session.best
    before, measure = (best.measure, best.value), best.chooser
    kept = checkpoint.load_best(session.run.checkpoints)
    if kept is None:
        best.renew(None, float("inf"), None)
        return "there is no whole best.pt to measure against the changed data: the best is chosen anew"
    generator = copy.deepcopy(session.trainer.ema.module)
    generator.load_state_dict(kept["ema"])
    generator.stage = Stage(session.config.image_size)  # no other is ever the best
    if measure == SWD:
        value: float | None = float(session.validation(generator)["swd"])
    else:
        value = session.feature_distances.measured(generator, progress)
    if value is None:
        return None
    best.renew(measure, value, int(kept["step"]))
    was = f", {before[1]:.1f} before" if before[0] == measure else ""
    name = {SWD: "SWD", "fid": "FID"}.get(measure.split()[0], "Fréchet distance")
    return f"best.pt, of step {kept['step']:,}, measured against the changed data: {name} {value:.1f}{was}"
