"""TorchScript by tracing (seed document, section 9.2)."""

import io
import warnings

import torch
from torch import nn


def to_torchscript(module: nn.Module, latent_dim: int) -> bytes:
    """The traced and frozen generator, as `torch.jit.load` reads it; any batch size."""
    # a batch of 1 can be specialised away
    example = torch.zeros(2, latent_dim)
    buffer = io.BytesIO()
    with torch.no_grad(), warnings.catch_warnings():
        # torch announces TorchScript's end of new features; the format stays supported
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        traced = torch.jit.freeze(torch.jit.trace(module, example))
        torch.jit.save(traced, buffer)
    return buffer.getvalue()
