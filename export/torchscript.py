"""TorchScript by tracing (seed document, section 9.2)."""

import io
import warnings

import torch
from torch import nn

from wgan.export.onnx import examples


def to_torchscript(module: nn.Module, latent_dim: int, *, conditional: bool = False) -> bytes:
    """The traced and frozen generator, as `torch.jit.load` reads it; any batch size.

    Its arguments are z float32 (N, Z) and, if ``conditional``, label int64 (N,).
    """
    buffer = io.BytesIO()
    with torch.no_grad(), warnings.catch_warnings():
        # torch announces TorchScript's end of new features; the format stays supported
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        traced = torch.jit.freeze(torch.jit.trace(module, examples(latent_dim, conditional)))
        torch.jit.save(traced, buffer)
    return buffer.getvalue()
