"""The device that torch runs on: as asked, and never another."""

from wgan.serve.cores import restricted
from wgan.serve.errors import BackendUnavailable, ConfigError

DEVICES = ("auto", "cpu", "cuda")


def check_name(name: str) -> None:
    """Refuses what is no name of a device.

    Raises:
        ConfigError: it is not one of `DEVICES`.
    """
    if name not in DEVICES:
        raise ConfigError(f"--device {name} is not one of {', '.join(DEVICES)}")


def torch_device(name: str) -> str:
    """`cpu` or `cuda` for `auto`, `cpu` or `cuda`. Torch is held to the cores that this process may use.

    Raises:
        ConfigError: an unknown name.
        BackendUnavailable: torch is not installed, or CUDA is asked for and torch finds none.
    """
    check_name(name)
    try:
        import torch
    except ImportError:
        raise BackendUnavailable("torch is not installed", extra="train") from None
    if (cores := restricted()) is not None and torch.get_num_threads() > cores:
        torch.set_num_threads(cores)
    if name == "cuda" and not torch.cuda.is_available():
        raise BackendUnavailable("--device cuda: torch finds no CUDA device here; use --device cpu or auto")
    return "cuda" if name != "cpu" and torch.cuda.is_available() else "cpu"


def exact_float32(device: str) -> None:
    """Turns TF32 off for convolutions on CUDA, where torch has it on: float32 is what parity is measured in."""
    import torch

    if device == "cuda":
        torch.backends.cudnn.allow_tf32 = False
