"""Several processes that are joined by gloo, each a fork of one that has loaded torch."""

import os
import socket
from collections.abc import Callable
from typing import Any

import torch

from tests.forks import forks
from wgan.training.distributed import join

CPU = torch.device("cpu")
PATIENCE = 120  # seconds until a process that has not ended is ended


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


def in_two_processes(work: Callable[..., None], *arguments: Any) -> list[int | None]:
    """Runs ``work(world, *arguments)`` in two processes joined by gloo; their exit codes, None for one that hung."""
    port = free_port()
    return apart(_joined, *[(rank, port, work, arguments) for rank in (0, 1)])


def apart(work: Callable[..., None], *calls: tuple[Any, ...]) -> list[int | None]:
    """Runs ``work`` in a process for each of the ``calls``; their exit codes, None for one that hung."""
    context = forks()
    children = [context.Process(target=work, args=arguments) for arguments in calls]
    for process in children:
        process.start()
    for process in children:
        process.join(PATIENCE)
    codes = [process.exitcode for process in children]
    for process in children:
        process.kill()
    return codes


def place(rank: int, port: int) -> None:
    """Puts into this process's environment what torchrun would, as the ``rank``-th of two."""
    torch.set_num_threads(1)
    told = {"RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "LOCAL_RANK": rank}
    os.environ.update({name: str(value) for name, value in told.items()})


def _joined(rank: int, port: int, work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    place(rank, port)
    with join(CPU) as world:
        work(world, *arguments)
