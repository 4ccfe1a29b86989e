"""Safetensors: the weights alone, under names that are documented. Loading such a file executes nothing."""

from torch import nn

from wgan.export.reference.weights import named_tensors
from wgan.serve.base.errors import BackendUnavailable


def to_safetensors(module: nn.Module) -> bytes:
    """The weights of a network `as_deployed`, in the type that it computes in.

    Raises:
        BackendUnavailable: the library is not installed.
    """
    try:
        from safetensors.torch import save
    except ModuleNotFoundError:
        raise BackendUnavailable("safetensors is not installed", extra="train") from None
    return save(named_tensors(module))
