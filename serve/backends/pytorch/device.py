"""The device that torch runs on: as asked, and never another."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from wgan.serve.backends.base import check_device
from wgan.serve.backends.pytorch.verdict import torch_gap
from wgan.serve.base.command import COMMANDS, or_again
from wgan.serve.base.errors import BackendUnavailable
from wgan.serve.machine.cores import restricted
from wgan.serve.machine.gpu import gpu_count


def torch_device(name: str) -> str:
    """The device, `cpu` or `cuda`, that a device name means here. Holds torch to the cores that this process may use.

    Raises:
        ConfigError: an unknown name.
        BackendUnavailable: torch is not installed, or CUDA is asked for and torch finds none.
    """
    check_device(name)
    try:
        import torch
    except ImportError:
        raise BackendUnavailable("torch is not installed", extra="train") from None
    if (cores := restricted()) is not None and torch.get_num_threads() > cores:
        torch.set_num_threads(cores)
    there = name != "cpu" and _finds_cuda()
    if name == "cuda" and not there:
        gap = torch_gap()
        why = f"; {gap}" if gap is not None and gpu_count() else ""
        instead = or_again("--device", "cpu", of=COMMANDS)
        raise BackendUnavailable(f"--device cuda: torch finds no CUDA device here; use {instead}{why}")
    return "cuda" if there else "cpu"


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Torch's operators on ``count`` threads, where the caller's thread calls them.

    Further threads of the block set their own number and do not put it back: a new thread starts with the number that
    was set last, by whichever thread, and that must be this one's.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def why_cpu(name: str) -> str | None:
    """Why ``auto`` takes the CPU although the driver shows a GPU, and what mends it; None otherwise.

    None too for a torch that was built for the CPU alone: that was a choice.
    """
    import torch

    if name != "auto" or torch.version.cuda is None or _finds_cuda() or not gpu_count():
        return None
    gap = torch_gap() or "torch finds no CUDA device, though the driver shows one; to see more: wgan doctor"
    return f"runs on the CPU: {gap}"


def _finds_cuda() -> bool:
    """Whether torch can use CUDA. Torch's own warning of several lines is left out: `why_cpu` says it in one."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.cuda.is_available()


def exact_float32(device: str) -> None:
    """Turns TF32 off for convolutions on CUDA, where torch has it on: float32 is what parity is measured in."""
    import torch

    if device == "cuda":
        torch.backends.cudnn.allow_tf32 = False


def exact_convolutions(graph: Any) -> None:
    """Makes the convolutions of a TorchScript graph exact in float32, whatever the process that traced them had set.

    A traced convolution holds torch's switches of that moment as constants, TF32 being on in a new process: a file
    that was traced so rounds to 10 bits on CUDA, whatever is set where it runs.
    """
    for node in graph.findAllNodes("aten::_convolution"):
        benchmark, deterministic, cudnn, tf32 = range(9, 13)  # its last four arguments
        with graph.insert_point_guard(node):
            for position, value in ((benchmark, False), (deterministic, False), (cudnn, True), (tf32, False)):
                node.replaceInput(position, graph.insertConstant(value))
