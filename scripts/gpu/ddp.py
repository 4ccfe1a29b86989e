"""Two processes train as one: on one GPU, joined by gloo, as NCCL takes no GPU twice; NCCL itself alone."""

import json
import os
import socket
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed, nn

from gpu.rows import Here
from gpu.training import WAYS, Reals, apart, moved, settings
from wgan.training.distributed import World, join
from wgan.training.step.trainer import Trainer

MOST = 0.1  # as far apart as rounding may take them
STEPS = 5


def run(here: Here) -> None:
    """A row a way: one process beside two on the same batches."""
    beside(here, "eager")
    if not here.cuda:
        here.not_run("NCCL, compiled", "for a GPU alone")
        return
    ones = torch.ones(4, device=here.device)
    store = distributed.HashStore()  # type: ignore[attr-defined]
    distributed.init_process_group("nccl", store=store, rank=0, world_size=1)
    distributed.all_reduce(ones)
    here.tell("NCCL, one process", ok=ones.tolist() == [1.0] * 4, version=list(torch.cuda.nccl.version()))
    distributed.destroy_process_group()
    if not here.short_of("compiled", 0 if here.tiny else 70):
        beside(here, "compiled")


def beside(here: Here, way: str) -> None:
    """The row of a way."""
    with tempfile.TemporaryDirectory() as folder:
        result = together(here, way, Path(folder) / "result.pt")
    if isinstance(result, str):
        here.tell(way, ok=False, why=result)
        return
    alone = trained(here.device, here.tiny, way, World())
    figures = {"apart": apart(result["moved"], alone["moved"]), "bound": MOST, "notes": result["notes"]}
    figures["synchronised_norms"] = result["norms"]
    held = figures["apart"] < MOST and not figures["notes"] and figures["synchronised_norms"] > 0
    # on a CPU each process has BatchNorm statistics of its own: they are not the same run
    here.tell(way, ok=held if here.cuda else None, **figures)


def together(here: Here, way: str, result: Path) -> dict[str, Any] | str:
    """What two processes found, or how they ended."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    asked = json.dumps({"device": here.device.type, "tiny": here.tiny, "way": way, "result": str(result)})
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-P", "-m", "gpu.ddp", asked]
    started = [
        subprocess.Popen(command, env={**os.environ, **place, "RANK": str(rank), "LOCAL_RANK": "0"}) for rank in (0, 1)
    ]
    codes: list[int | str] = []
    for process in started:
        try:
            codes.append(process.wait(max(here.left() - 5, 1)))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            codes.append("no time left")
    return torch.load(result) if codes == [0, 0] else f"the two processes ended with {codes}"


class Share:
    """Each process's part of the same batches."""

    def __init__(self, reals: Reals, world: World):
        self._reals, self._world = reals, world

    def next(self) -> tuple[Tensor, None]:
        """uint8 (N / processes, H, W, C)."""
        images, label = self._reals.next()
        return self._world.share(images), label


def trained(device: torch.device, tiny: bool, way: str, world: World) -> dict[str, Any]:
    """What `STEPS` steps did to the weights, and how."""
    config = settings(tiny, batch_size=8 if tiny else 16, n_critic=2, **WAYS[way])
    trainer = Trainer(config, device, world=world)
    weights = moved(trainer, Share(Reals(config, device), world), STEPS)
    norms = sum(isinstance(module, nn.SyncBatchNorm) for module in trainer.generator.modules())
    return {"moved": weights, "notes": trainer.fast.told(), "norms": norms}


def one_of_two(device: torch.device, tiny: bool, way: str, result: str) -> None:
    """One of the processes; the first writes how the weights moved."""
    distributed.new_group = partial(_by_gloo, distributed.new_group)
    with join(device) as world:
        weights = trained(device, tiny, way, world)
        if world.first:
            torch.save(weights, result)


def _by_gloo(start: Any, *, backend: str, **named: Any) -> Any:
    return start(backend="gloo", **named)


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    one_of_two(torch.device(asked.pop("device")), **asked)
