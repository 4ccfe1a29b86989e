"""Where a run stands: its best generator, which export takes, beside its last."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wgan.serve.artifacts.fields import is_number
from wgan.serve.artifacts.origin import BEST, LARGEST, LAST, NAMES, Origin
from wgan.training.records import checkpoint


@dataclass(frozen=True)
class Standing:
    """The best and the last generator of a run; None where there is no such checkpoint, or it cannot be read."""

    best: Origin | None
    last: Origin | None

    @property
    def shipped(self) -> Origin | None:
        """The one that `wgan export` takes."""
        return self.best or self.last

    @property
    def apart(self) -> bool:
        """Whether the best and the last are two generators."""
        return self.best is not None and self.last is not None and self.best.step != self.last.step

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        pairs = ((BEST, self.best), (LAST, self.last))
        return {name: None if one is None else one.to_source() for name, one in pairs}

    def __str__(self) -> str:
        if self.shipped is None:
            return "no checkpoint"
        if self.best is None or self.last is None:
            return str(self.shipped)
        if not self.apart:
            return f"last and best: {self.best.measured}"
        return f"best: {self.best.measured} (export takes it)\nlast: {self.last.measured}"


def standing(run: Path) -> Standing:
    """Reads it from the checkpoints of a run folder, without their weights."""
    folder = run / "checkpoints"
    steps = checkpoint.list_steps(folder)
    return Standing(_origin(folder / checkpoint.BEST, BEST), _origin(steps[-1], LAST) if steps else None)


def _origin(path: Path, which: str) -> Origin | None:
    state = checkpoint.peek(path)
    try:
        return None if state is None else origin_of(state, which)
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError):  # a checkpoint of another kind
        return None


def origin_of(state: Mapping[str, Any], which: str | None = None) -> Origin:
    """Of the generator in a checkpoint's ``state``.

    Raises:
        KeyError, TypeError, ValueError: a state that no checkpoint of ours has.
    """
    step, best = int(state["step"]), state.get("best") or {}
    scores: dict[object, Any] = {}
    if state.get("swd_step") == step:
        scores["swd"] = state.get("swd")
    # what was saved as the best has been measured at its own step; an earlier wgan wrote no step beside the value
    if best.get("step", step if which == BEST else None) == step:
        scores[best.get("measure")] = best.get("value")
    known = {name: float(scores[name]) for name in NAMES if is_number(scores.get(name), 0, LARGEST)}
    return Origin(step, which, known)
