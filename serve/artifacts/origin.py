"""Which of its run's generators one is: best or last, after how many steps, how near it came to the real images."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from wgan.serve.artifacts.fields import is_number

BEST, LAST = "best", "last"
CHECKPOINT, SCORES = "checkpoint", "scores"  # fields of an artifact's `source`
NAMES = {"swd": "SWD", "fid": "FID", "frechet_distance": "Fréchet distance"}  # of a score → as it is written
LARGEST = 1e12  # of a score


@dataclass(frozen=True)
class Origin:
    """A generator's place in its run; in words `best, step 1,130, SWD 24.9`.

    Args:
        step: generator updates that it has had.
        which: best or last; None where its checkpoint was named otherwise.
        scores: distances to real images that were measured of just this generator, by their names in the records.
    """

    step: int
    which: str | None = None
    scores: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, source: Mapping[str, Any]) -> "Origin | None":
        """As an artifact's `source` has it, whoever wrote that; None where it does not say."""
        step, which, scores = source.get("step"), source.get(CHECKPOINT), source.get(SCORES)
        if not is_number(step, 0, LARGEST):
            return None
        listed = scores if isinstance(scores, Mapping) else {}
        return cls(
            int(step or 0),
            which if which in (BEST, LAST) else None,
            {name: float(listed[name]) for name in NAMES if is_number(listed.get(name), 0, LARGEST)},
        )

    def to_source(self) -> dict[str, Any]:
        """What `of` reads again; nothing of what is not known."""
        named = {} if self.which is None else {CHECKPOINT: self.which}
        return {"step": self.step, **named, **({SCORES: dict(self.scores)} if self.scores else {})}

    @property
    def measured(self) -> str:
        """`step 1,130, SWD 24.9`."""
        words = (f"{NAMES[name]} {value:.1f}" for name, value in self.scores.items() if name in NAMES)
        return ", ".join([f"step {self.step:,}", *words])

    def __str__(self) -> str:
        return self.measured if self.which is None else f"{self.which}, {self.measured}"
