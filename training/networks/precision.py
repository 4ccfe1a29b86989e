"""Mixed precision: what one network's steps compute in, and the scale that keeps float16 gradients alive.

Weights, Adam's moments, losses and norms stay float32. bfloat16 has float32's range and needs no scale.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
# Scores carry the scale into float16 themselves, whose largest number is 65,504
FIRST_SCALE = 2.0**12
LOST = 2.0**-12  # a scale that small means that no step has been finite for long


def widened(x: Tensor) -> Tensor:
    """``x`` in float32, or in float64 if it is that: for sums and roots that a half type is too short for."""
    return x if x.dtype == torch.float64 else x.float()


class MixedPrecision:
    """Autocast for one network, and the gradient scaler of its optimizer (Micikevicius et al. 2018)."""

    def __init__(self, name: str, device: torch.device):
        assert name in ("fp32", *DTYPES), f"{name} is to be settled before a trainer is made"
        self._device = device.type
        self._dtype = DTYPES.get(name)
        self._scaler = torch.amp.GradScaler(device.type, init_scale=FIRST_SCALE, enabled=name == "fp16")
        self.scaled = name == "fp16"
        self.scale(torch.ones((), device=device))  # makes it: several threads may come to it first

    def autocast(self) -> torch.autocast:
        """The context that forward passes run in, each weight used once.

        Without autocast's cache: it is the whole process's, so lanes would share parts of their graphs, and which parts
        would depend on who comes first.
        """
        return torch.autocast(self._device, dtype=self._dtype, enabled=self._dtype is not None, cache_enabled=False)

    def scale(self, like: Tensor) -> Tensor:
        """The scale now, as a scalar on the device; 1 where none is needed."""
        one = torch.ones((), device=like.device)
        return self._scaler.scale(one) if self.scaled else one

    def backward(self, loss: Tensor, run: Callable[[Tensor], None]) -> None:
        """Calls ``run``, a backward pass, on the loss, scaled."""
        run(self._scaler.scale(loss))

    def update(self, optimizer: torch.optim.Optimizer) -> None:
        """Moves the weights and drops the gradients; where these overflowed, halves the scale instead."""
        try:
            self._scaler.step(optimizer)
            self._scaler.update()
        except Exception:
            self._forget(optimizer)
            raise
        optimizer.zero_grad(set_to_none=True)

    def _forget(self, optimizer: torch.optim.Optimizer) -> None:
        """Drops what a step that broke off, as one that cannot be recorded, left for its second half."""
        if self.scaled:
            self._scaler._per_optimizer_states.clear()
            vars(optimizer).pop("grad_scale", None)
            vars(optimizer).pop("found_inf", None)

    @property
    def lost(self) -> bool:
        """Whether the scale has collapsed: a run that has diverged, not a step that overflowed."""
        return self.scaled and self._scaler.get_scale() < LOST

    def state_dict(self) -> dict[str, Any]:
        """The scale and its growth counter."""
        return self._scaler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on with a saved scale."""
        if state:
            self._scaler.load_state_dict(state)
