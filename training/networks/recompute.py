"""Activation checkpointing: a part's inner activations are computed again in the backward pass (Chen et al. 2016)."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint


class Recompute:
    """Calls a part of a network; if it is ``on``, only the part's input is kept (Chen et al. 2016)."""

    def __init__(self, on: bool):
        self.on = on

    def __call__(self, part: Callable[..., Tensor], *arguments: Any) -> Tensor:
        """What the part gives."""
        if not (self.on and torch.is_grad_enabled()):
            return part(*arguments)
        # the other kind cannot be differentiated twice; no part draws random numbers
        result: Tensor = checkpoint(part, *arguments, use_reentrant=False, preserve_rng_state=False)
        return result
