"""What torchrun puts into the environment of each process that it starts."""

import hashlib
import os
import platform

import torch

from wgan.serve.base.errors import ConfigError

RESTARTS = "TORCHELASTIC_RESTART_COUNT"
LAUNCH = "TORCHELASTIC_RUN_ID"
ALONE = "none"  # torchrun's own id where it is given none


def number(name: str, default: int | None, low: int = 0) -> int:
    """A whole number from ``low`` on that torchrun has put into the environment; without ``default`` it must be there.

    Raises:
        ConfigError: it is something else.
    """
    text = os.environ.get(name)
    if text is None and default is not None:
        return default
    if text is not None and text.isascii() and text.isdecimal() and len(text) < 10 and int(text) >= low:
        return int(text)
    fault = "is not set" if text is None else f"is {text[:40]!r}, not a whole number from {low} on"
    others = "" if name == "WORLD_SIZE" else f" and {name}"
    raise ConfigError(f"the environment's {name} {fault}: start with torchrun, or alone without WORLD_SIZE{others}")


def launched() -> bool:
    """Whether torchrun started this process as one of several. Raises ConfigError for a WORLD_SIZE that is none."""
    return number("WORLD_SIZE", 1, low=1) > 1


def restarted() -> bool:
    """Whether torchrun has started the processes again after one was lost. Raises ConfigError as `launched`."""
    return number(RESTARTS, 0) > 0


def launch() -> str | None:
    """A digest of the name that torchrun gives all its starts of one command; None where it has none."""
    name = os.environ.get(LAUNCH, ALONE)
    return None if name == ALONE else hashlib.sha256(name.encode(errors="replace")).hexdigest()[:16]


def who(rank: int) -> str:
    """This process, as the others call it."""
    return f"process {rank} on {platform.node()[:80] or 'a machine without a name'}"


def own_device(device: torch.device) -> torch.device:
    """This process's device: with several processes on a machine, each has a GPU of its own.

    Raises:
        ConfigError: there are too few GPUs, or the environment does not say which process this is.
    """
    if device.type != "cuda" or not launched():
        return device
    local = number("LOCAL_RANK", 0)
    if local >= torch.cuda.device_count():
        raise ConfigError(
            f"this machine shows {torch.cuda.device_count()} GPUs, too few for process {local}: "
            "start torchrun with a smaller --nproc-per-node"
        )
    torch.cuda.set_device(local)
    return torch.device("cuda", local)
