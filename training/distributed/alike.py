"""Whether the processes of a run are alike: the same program, words and settings on every machine."""

import hashlib
import platform
import reprlib
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy
import PIL
import torch

from wgan.serve.base.errors import ConfigError
from wgan.serve.machine.requirements import installed
from wgan.training.distributed.world import World

PLACES = (
    "data",
    "init_generator",
    "init_critic",
    "inception_weights",
)  # settings that each machine may have its own of
PROGRAM = ("wgan.serve", "wgan.training")  # whose code decides what is computed
SHOWN = 4  # differences in a line


def versions() -> dict[str, str]:
    """What a step's numbers depend on, by name: programs, and a digest of this one's code."""
    return {
        "Python": ".".join(platform.python_version_tuple()[:2]),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "Pillow": PIL.__version__,
        "wgan": installed("wgan") or "(not installed)",
        "wgan's code": code()[:12],
    }


@cache
def code() -> str:
    """A digest of this program's modules, in hex."""
    digest = hashlib.sha256()
    for name in PROGRAM:
        for folder in import_module(name).__path__:
            for path in sorted(Path(folder).rglob("*.py")):
                digest.update(f"{name}/{path.relative_to(folder).as_posix()}\0".encode())
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def differences(world: World, own: Mapping[str, Any]) -> dict[int, str]:
    """What is another in a process than in process 0, by its rank; the same in every process.

    Args:
        world: the processes.
        own: this process's values by name.
    """
    values = world.gather({name: _shown(value) for name, value in own.items()})
    return {rank: told for rank, there in enumerate(values) if (told := _differences(there, values[0]))}


def check_alike(world: World, own: Mapping[str, Any], mend: str) -> None:
    """Refuses, in every process, what is another in one of them than in process 0.

    Args:
        world: the processes.
        own: this process's values by name.
        mend: what to do.

    Raises:
        ConfigError: names the process, its machine, and what differs. The same line in all processes.
    """
    apart = differences(world, own)
    if not apart:
        return
    rank = min(apart)
    more = f" ({len(apart) - 1} more differ too)" if len(apart) > 1 else ""
    raise ConfigError(f"{world.who(rank)} has {apart[rank]} on {world.who(0).partition(' on ')[2]}{more}: {mend}")


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else reprlib.repr(value)


def _differences(there: Mapping[str, str], first: Mapping[str, str]) -> str:
    """`torch 2.9, Pillow 11.1 where process 0 has torch 2.10, Pillow 12.0`; empty where there is none."""
    names = [name for name in {**first, **there} if first.get(name) != there.get(name)]
    if not names:
        return ""
    here, others = (
        ", ".join(f"{name} {side.get(name, 'not given')}" for name in names[:SHOWN]) for side in (there, first)
    )
    rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{here}{rest} where process 0 has {others}{rest}"
