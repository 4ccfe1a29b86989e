"""How far a progressively growing pair of networks has come (Karras et al. 2018, section 2)."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Stage:
    """The resolution that images have now, and how far its layers are faded in: alpha 1 is whole."""

    resolution: int
    alpha: float = 1.0

    @property
    def fading(self) -> bool:
        """Whether the resolution below still has a share."""
        return self.alpha < 1


@dataclass(frozen=True, eq=False)
class LiveStage:
    """A stage whose alpha () is a tensor that moves: a step that was compiled or recorded reads it anew each time."""

    resolution: int
    fading: bool
    alpha: Tensor


def faded(older: Tensor, newer: Tensor, stage: Stage | LiveStage) -> Tensor:
    """From ``older`` at alpha 0 to ``newer`` at alpha 1, in the type of ``older``."""
    if isinstance(stage.alpha, Tensor):  # all three must then be of one type
        return torch.lerp(older.float(), newer.float(), stage.alpha).to(older.dtype)
    return torch.lerp(older, newer.to(older.dtype), stage.alpha)
