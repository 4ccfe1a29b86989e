"""What is watched of a run between two records: sums that stay on the device, so that no step waits for them."""

from typing import Any

import torch
from torch import Tensor

from wgan.training.distributed import World

WATCHED = ("wasserstein", "penalty", "grad_norm", "critic_loss", "generator_loss")
OF_GENERATOR = WATCHED.index("generator_loss")


class Watch:
    """Sums and counts of `WATCHED` since the last record.

    Args:
        device: where the values come from.
        lenient: a value that is not finite is a step left out, as float16's scaler does, not the end of the run.
        world: the processes whose values belong together.
    """

    def __init__(self, device: torch.device, *, lenient: bool, world: World):
        self._lenient, self._world = lenient, world
        self.sums = torch.zeros(len(WATCHED), device=device)
        self.counts = torch.zeros(len(WATCHED), device=device)
        self._not_measured = torch.zeros((), device=device)

    def add(self, first: int, values: list[Tensor | None]) -> None:
        """Values of `WATCHED` from number ``first`` on; None is one that this step did not measure."""
        # slices and tensors that are there: an index or a number from Python would be copied to the device each time
        found = torch.stack([self._not_measured if value is None else value for value in values]).detach()
        counted = torch.stack([self._not_measured if value is None else self._not_measured + 1 for value in values])
        if self._lenient:
            counted = counted * torch.isfinite(found).all()
            found = torch.where(counted > 0, found, 0)
        here = slice(first, first + len(values))
        self.sums[here] += found
        self.counts[here] += counted

    def finite(self) -> Tensor:
        """Whether every value was a number, a scalar on the device."""
        return torch.isfinite(self.sums).all()

    def collect(self) -> None:
        """Brings the values of all processes to the first one, whose state is saved."""
        self._world.total(self.sums)
        self._world.total(self.counts)
        if not self._world.first:
            self._clear()

    def drain(self) -> dict[str, float]:
        """Means since the last call, over all processes; what was not measured is not there."""
        self.collect()
        sums, counts = self.sums.tolist(), self.counts.tolist()
        self._clear()
        return {name: total / n for name, total, n in zip(WATCHED, sums, counts, strict=True) if n}

    def _clear(self) -> None:
        self.sums.zero_()
        self.counts.zero_()

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint, after `collect`."""
        return {"sums": self.sums, "counts": self.counts}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from what `state_dict` gave: the first process holds the values of all."""
        if self._world.first:
            self.sums.copy_(state["sums"])
            self.counts.copy_(state["counts"])
