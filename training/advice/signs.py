"""What the rules look at: a run's records, averaged over windows that do not depend on how often it records."""

import math
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from wgan.training.config import Config
from wgan.training.step.growth import grown_after

POINT_STEPS = 10  # generator updates that a point averages at least: single batches are too noisy to judge
# Points left out at the start. A new critic is flat (norm 0) and takes a hundred steps to become 1-Lipschitz; its
# penalty is that of a broken one until then, and its estimate W rises from 0 to its highest.
WARM_UP = 10
WINDOW = 20  # points judged together: 200 steps at least
SHORT = 5  # points that make a level of W, which may rise fast


@dataclass(frozen=True)
class Point:
    """Means over at least ten steps, named as in `metrics.jsonl`."""

    wasserstein: float
    penalty: float
    grad_norm: float
    critic_loss: float
    generator_loss: float


@dataclass(frozen=True)
class Look:
    """One validation. Diversity and sharpness are 1 where they are those of the data."""

    step: int
    swd: float
    diversity: float
    sharpness: float


class Signs:
    """Everything seen so far that a rule may ask for.

    Args:
        config: of the run.
    """

    def __init__(self, config: Config):
        self.config = config
        self.step = 0
        self.points: deque[Point] = deque(maxlen=WINDOW)
        self.looks: list[Look] = []  # of a generator past its warm-up
        self.untrained: Look | None = None
        self.floor: float | None = None  # the distance of real images to real images
        self.level = self.peak = 0.0  # of W: as it is, and the highest so far, warm-up included
        self._newest: deque[float] = deque(maxlen=SHORT)
        self._seen = 0  # points, with those left out
        self._pending: list[Point] = []
        self._from = 0  # the step that the pending ones begin after

    @property
    def full(self) -> bool:
        """Whether there is a whole window to judge."""
        return len(self.points) == WINDOW

    @property
    def reach(self) -> float:
        """5% of √D, D values of an image: less than this, W is that of images which differ by little.

        A 1-Lipschitz critic tells two images apart by at most their distance, which is at most 2√D and
        about √D/2 for photographs against noise.
        """
        return 0.05 * math.sqrt(self.config.channels) * self.config.image_size

    def values(self, name: str) -> list[float]:
        """One figure of each point of the window."""
        return [float(getattr(point, name)) for point in self.points]

    def middle(self, name: str) -> float:
        """Its median: one wild record does not move it."""
        return median(self.values(name))

    def span(self, count: int, steps: int) -> Sequence[Look]:
        """The newest validations, at least ``count`` that lie at least ``steps`` apart; none if there are fewer."""
        for first in range(len(self.looks) - count, -1, -1):
            if self.looks[-1].step - self.looks[first].step >= steps:
                return self.looks[first:]
        return ()

    def add(self, record: Mapping[str, Any]) -> bool:
        """Adds a record of `metrics.jsonl`; True if the rules have something new to judge."""
        kind, step = record.get("kind"), record.get("step")
        if not isinstance(step, int):
            return False
        self.step = step
        if step * self.config.reals_per_step < grown_after(self.config):
            return False  # images of fewer pixels are no sign of anything
        if kind == "event" and "data" in record:  # distances to other images say nothing of progress
            self.looks, self.untrained, self.floor, self.peak = [], None, None, self.level
        if kind == "train":
            return self._add_point(record, step)
        return kind == "validation" and self._add_look(record, step)

    def _add_point(self, record: Mapping[str, Any], step: int) -> bool:
        values = _numbers(record, Point)
        if values is None:  # a step that was left out of the sums
            return False
        self._pending.append(Point(*values))
        if step - self._from < POINT_STEPS:
            return False
        columns = zip(*(vars(point).values() for point in self._pending), strict=True)
        point = Point(*(sum(column) / len(column) for column in columns))
        self._pending, self._from = [], step
        self._newest.append(point.wasserstein)
        if len(self._newest) == SHORT:
            self.level = median(self._newest)
            self.peak = max(self.peak, self.level)
        if step > self.config.lr_warmup:
            self._seen += 1
        if self._seen <= WARM_UP:
            return False
        self.points.append(point)
        return self.full

    def _add_look(self, record: Mapping[str, Any], step: int) -> bool:
        values = _numbers(record, Look)
        if values is None:  # a run of an earlier wgan
            return False
        look = Look(step, *values[1:])
        levels = record.get("floor_levels")  # at the start, and where the data has changed
        floors = [value for value in levels.values() if _is_number(value)] if isinstance(levels, Mapping) else []
        self.floor = sum(floors) / len(floors) if floors else self.floor
        if step == 0:
            self.untrained = look
            return False
        if self._seen <= WARM_UP:
            return False
        self.looks.append(look)
        return True


def _numbers(record: Mapping[str, Any], kind: type[Point] | type[Look]) -> list[float] | None:
    values = [record.get(name) for name in kind.__dataclass_fields__]
    return [float(value) for value in values if value is not None] if all(map(_is_number, values)) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) <= sys.float_info.max  # NaN compares false
