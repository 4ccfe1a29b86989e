"""Which of a run's generators is its best, by one measure: values of different measures are never compared."""

import math
from typing import Any

SWD = "swd"


class Best:
    """The best value so far, its measure and its step.

    Args:
        chooser: the measure that is to choose. Until it is first taken, the one at hand does.
        data: digest of the images that are trained on: values against others are not compared either.
    """

    def __init__(self, chooser: str = SWD, data: str = ""):
        self.chooser, self._data = chooser, data
        self._measured_on = data
        self.measure: str | None = None
        self.value = math.inf
        self.step: int | None = None  # that it was measured at

    @property
    def outdated(self) -> bool:
        """Whether the best was measured against other data: until `renew` nothing can be compared with it."""
        return self.measure is not None and self._measured_on != self._data

    def renew(self, measure: str | None, value: float, step: int | None) -> None:
        """What the best is against the data of now; no measure and no step where there is none."""
        self.measure, self.value, self.step, self._measured_on = measure, value, step, self._data

    def offer(self, measure: str, value: float, step: int) -> bool:
        """Whether ``value`` (lower is better) of ``measure`` at ``step`` is the best now; it is remembered then."""
        if self.outdated or not math.isfinite(value):
            return False
        better = value < self.value if measure == self.measure else self.measure is None or measure == self.chooser
        if better:
            self.renew(measure, value, step)
        return better

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"measure": self.measure, "value": self.value, "step": self.step, "data": self._measured_on}

    def restore(self, state: dict[str, Any], data: str = "") -> None:
        """Takes up what `state` gave; one of an earlier wgan was measured against the checkpoint's ``data``."""
        self.measure, self.value = state["measure"], state["value"]
        self.step = state.get("step")  # not in a checkpoint of an earlier wgan
        self._measured_on = state.get("data", data)
