"""The folded generator as named tensors and back: what a safetensors file holds, and the network that it is for."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from wgan.export.reference.fold import Reduced, folded
from wgan.serve.artifacts.metadata import Metadata
from wgan.serve.base.errors import BackendError, ConfigError
from wgan.training.config import Config, from_dict
from wgan.training.networks import Generator
from wgan.training.networks.precision import DTYPES

# names inside the network → names in the file, which are documented and stay
_PLAIN = (
    (re.compile(r"\.(?:change|norm)\."), "."),
    (re.compile(r"^heads\.\d+\.0\."), "image."),
    (re.compile(r"^refine\.(\d+)\.\d+\.(?=key|query|value|out|gamma)"), r"attention.\1."),
)


def file_names(network: nn.Module) -> dict[str, str]:
    """The name in the file → the name inside the folded network, for each of its tensors."""
    names = {}
    for inner in network.state_dict():
        name = inner
        for pattern, plain in _PLAIN:
            name = pattern.sub(plain, name)
        names[name] = inner
    return names


def named_tensors(network: nn.Module) -> dict[str, Tensor]:
    """The tensors of a network `as_deployed`, by their names in the file."""
    network = network.inner if isinstance(network, Reduced) else network
    state = network.state_dict()
    return {name: state[inner].contiguous() for name, inner in file_names(network).items()}


def rebuilt(metadata: Metadata, tensors: Mapping[str, Tensor], where: str) -> nn.Module:
    """The network `as_deployed` that the metadata tells of, with these tensors as its weights.

    Raises:
        BackendError: there is no such network, or the tensors are not its; names ``where``.
    """
    network = _empty(metadata, where)
    names, wanted = file_names(network), network.state_dict()
    dtype = DTYPES.get(metadata.precision, torch.float32)
    for name in (*names, *tensors):
        if name not in tensors or name not in names:
            what = "is missing" if name in names else "has no place"
            raise BackendError(f"{where}: the tensor {name[:60]!r} {what} in the network of its metadata")
        found, shape = tensors[name], tuple(wanted[names[name]].shape)
        if tuple(found.shape) != shape or found.dtype != dtype:
            raise BackendError(
                f"{where}: the tensor {name!r} is {_short(found.dtype)} {tuple(found.shape)}, "
                f"and the network of its metadata has {_short(dtype)} {shape} there"
            )
    network.load_state_dict({inner: tensors[name] for name, inner in names.items()}, assign=True)
    network.requires_grad_(False)
    return (network if metadata.precision == "fp32" else Reduced(network, dtype)).eval()


def _empty(metadata: Metadata, where: str) -> nn.Module:
    """The network without its weights: nothing is computed, and no memory taken, whatever sizes are asked for."""
    config = _config(metadata, where)
    try:
        with torch.device("meta"):
            return folded(Generator(config, len(metadata.classes or ())))
    except RuntimeError as error:
        raise BackendError(f"{where}: no network can be made of its metadata: {str(error)[:100]!r}") from None


def _config(metadata: Metadata, where: str) -> Config:
    """The settings of the network, which agree with what the metadata says of inputs and outputs."""
    settings = metadata.source.get("config")
    if not isinstance(settings, Mapping):
        raise BackendError(
            f"{where}: metadata field source.config is missing, and with it the network: export it again"
        )
    try:
        # of what only training needs nothing is left in the file
        config = from_dict({**settings, "progressive": False, "activation_checkpointing": False})
    except ConfigError as error:
        raise BackendError(f"{where}: metadata field source.config is of no network that is known: {error}") from None
    image = metadata.image
    for name, said, real in (
        ("latent.dim", metadata.latent.dim, config.latent_dim),
        ("image", (image.height, image.width, image.channels), (config.image_size, config.image_size, config.channels)),
    ):
        if said != real:
            raise BackendError(f"{where}: metadata field {name} is {said}, its network has {real}: export it again")
    return config.replace(spectral_norm="none", upsampling=Config().upsampling)


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
