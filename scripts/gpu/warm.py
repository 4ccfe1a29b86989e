"""Compiles and times one way to train, in a process of its own: `python -m gpu.warm TINY DEVICE BATCH CASE`.

What it compiles lies in the compiler's own cache from then on. Stdout is one JSON object with ms an iteration.
"""

import json
import subprocess
import sys

import torch
from bench_training import Case

from gpu.rows import Here
from gpu.training import settings


def best(here: Here) -> str:
    """The way of `bench_training` that should be the quickest."""
    return "ours bf16 compiled, graphs" if here.cuda else "ours bf16"


def started(here: Here, size: int) -> subprocess.Popen[str]:
    """The process for a batch of this size."""
    asked = [str(int(here.tiny)), here.device.type, str(size), best(here)]
    return subprocess.Popen([sys.executable, "-P", "-m", "gpu.warm", *asked], stdout=subprocess.PIPE, text=True)


def ms_of(process: subprocess.Popen[str], patience: float) -> float | None:
    """What it found; None where it failed or took longer than ``patience`` seconds."""
    try:
        said, _ = process.communicate(timeout=patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return None
    return float(json.loads(said)["ms"]) if process.returncode == 0 else None


def main(tiny: bool, device: str, size: int, name: str) -> None:
    """Warms up, and times a few iterations."""
    config = settings(tiny, **({} if tiny else {"batch_size": size}))
    case = Case(name, config, torch.device(device))
    case.warm_up(config.n_critic)
    print(json.dumps({"ms": min(case.time(config.n_critic) for _ in range(3)) * 1e3}))


if __name__ == "__main__":
    main(sys.argv[1] == "1", sys.argv[2], int(sys.argv[3]), sys.argv[4])
