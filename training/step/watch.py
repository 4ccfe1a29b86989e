"""What is watched of a run between two records: sums that stay on the device, so that no step waits for them."""

from typing import Any

import torch
from torch import Tensor

from wgan.training.distributed import World

WATCHED = ("wasserstein", "penalty", "grad_norm", "critic_loss", "generator_loss")
# in this order the checkpoints of wgan 0.1.0 hold them, without their names
UNNAMED = ("wasserstein", "penalty", "grad_norm", "critic_loss", "generator_loss")

Watched = dict[str, Tensor | None]  # scalars on the device by their name in `WATCHED`; None: not measured


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
        # tensors that are there: a number from Python would be copied to the device at each step
        self._zero, self._one = torch.zeros((), device=device), torch.ones((), device=device)

    def add(self, **values: Tensor | None) -> None:
        """Adds scalars of `WATCHED` by name; None for one that this step did not measure."""
        if unknown := values.keys() - set(WATCHED):
            raise AssertionError(f"{', '.join(sorted(unknown))}: not watched")
        given = [values.get(name) for name in WATCHED]
        added = torch.stack([self._zero if value is None else value for value in given]).detach()
        counted = torch.stack([self._zero if value is None else self._one for value in given])
        if self._lenient:
            counted = counted * torch.isfinite(added).all()
            added = torch.where(counted > 0, added, 0)
        self.sums += added
        self.counts += counted

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
        return {"names": list(WATCHED), "sums": self.sums, "counts": self.counts}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from what `state_dict` gave, of this version or another: the first process holds the values of all.

        What is no longer watched is dropped, and what was not watched yet starts at zero.
        """
        if not self._world.first:
            return
        names = state.get("names", UNNAMED)
        for held, key in ((self.sums, "sums"), (self.counts, "counts")):
            saved = dict(zip(names, state[key].tolist(), strict=True))
            held.copy_(torch.tensor([saved.get(name, 0.0) for name in WATCHED]))
