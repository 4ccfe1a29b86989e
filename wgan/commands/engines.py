"""The options of `wgan export` that are of an engine."""

from typing import TYPE_CHECKING

from wgan.serve.base.command import or_again
from wgan.serve.base.errors import ConfigError

if TYPE_CHECKING:
    from wgan.serve.backends.trt.build import BuildOptions


def engine_options(
    format: str, version_compatible: bool, hardware_compatible: bool, compute_capability: str | None
) -> "BuildOptions":
    """What an engine may run on. Raises ConfigError where no engine is to be built."""
    from wgan.serve.backends.trt.build import BuildOptions, parse_capabilities

    capabilities = parse_capabilities(compute_capability) if compute_capability is not None else ()
    options = BuildOptions(version_compatible, hardware_compatible, capabilities)
    if options != BuildOptions() and format not in ("trt", "all"):
        way = or_again("--format", "trt", of=("export",))
        raise ConfigError(f"--format {format} has no options of an engine: use {way}")
    return options
