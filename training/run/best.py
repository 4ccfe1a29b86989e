"""Which of a run's generators is its best, by one measure: values of different measures are never compared."""

import math
from typing import Any

SWD = "swd"


class Best:
    """The best value so far, its measure and its step.

    Args:
        chooser: the measure that is to choose. Until it is first taken, the one at hand does.
    """

    def __init__(self, chooser: str = SWD):
        self._chooser = chooser
        self.measure: str | None = None
        self.value = math.inf
        self.step: int | None = None  # that it was measured at

    def offer(self, measure: str, value: float, step: int) -> bool:
        """Whether ``value`` (lower is better) of ``measure`` at ``step`` is the best now; it is remembered then."""
        if not math.isfinite(value):
            return False
        better = value < self.value if measure == self.measure else self.measure is None or measure == self._chooser
        if better:
            self.measure, self.value, self.step = measure, value, step
        return better

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"measure": self.measure, "value": self.value, "step": self.step}

    def restore(self, state: dict[str, Any]) -> None:
        """Takes up what `state` gave."""
        self.measure, self.value = state["measure"], state["value"]
        self.step = state.get("step")  # not in a checkpoint of an earlier wgan
