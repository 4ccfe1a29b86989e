"""Eager, recorded, compiled, both: the same training?

Distance of the weights after ten steps from those of eager steps, in units of how far eager steps went. Beside it the
distance of eager steps by other convolution algorithms: what rounding alone does.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor

from gpu.rows import Here, Row
from gpu.training import BATCHES, WAYS, Reals, apart, moved, settings
from gpu.warm import ms_of, started
from wgan.training.config import Config
from wgan.training.step.trainer import Trainer

# rounding turns gradients near zero, and Adam makes steps of them
BOUNDS = {"fp32": 0.1, "bf16": 0.5, "fp16": 0.5}
STEPS = 10
WAYS_HERE = {True: ("graphs", "compiled", "compiled, graphs"), False: ("compiled",)}
SPARED = ("fp16", "compiled")  # each is compiled for 40 s; compiled and recorded says as much


def run(here: Here) -> None:
    """A row a precision and way."""
    if not here.cuda:  # generating a CPU's kernels takes a minute
        torch.compile = partial(torch.compile, backend="eager")
    # what the stage speed will time is compiled meanwhile: nothing here is timed
    ahead = {size: started(here, size) for size in (BATCHES if here.cuda else BATCHES[:1])}
    base = settings(here.tiny, batch_size=8 if here.tiny else 16, n_critic=2)
    for precision, most in BOUNDS.items():
        eager = base.replace(precision=precision, **WAYS["eager"])
        plain, loss, _ = trained(here, eager)
        exact, _, _ = trained(here, eager.replace(convolutions="repeatable"))
        again, _, _ = trained(here, eager.replace(convolutions="repeatable"))
        here.tell(
            f"{precision} eager",
            loss=loss,
            other_algorithms_apart=apart(exact, plain),
            repeatable_to_the_bit=torch.equal(exact, again),
        )
        for way in WAYS_HERE[here.cuda]:
            name = f"{precision} {way}"
            if (not here.cuda and precision != "fp32") or (precision, way) == SPARED:
                continue
            if here.short_of(name, 0 if here.tiny else 25):
                continue
            weights, loss, had = trained(here, base.replace(precision=precision, **WAYS[way]))
            asked = {"compiled": "compiled" in way, "graphs": "graphs" in way}
            distance = apart(weights, plain)
            held = distance < most and had == {"notes": [], **asked}
            here.tell(name, ok=held, apart=distance, bound=most, loss=loss, **had)
    found_ms: Row = {f"batch {size}": ms_of(process, max(here.left() - 5, 1)) for size, process in ahead.items()}
    here.tell("compiled ahead, ms an iteration", **found_ms)
    if not here.cuda:
        here.not_run("recorded and half", "a CPU records none; compiled here is fp32 alone, traced without kernels")


def trained(here: Here, config: Config) -> tuple[Tensor, float, dict[str, Any]]:
    """What `STEPS` steps did to the weights, the critic's mean loss, and which tricks were had."""
    trainer = Trainer(config, here.device)
    weights = moved(trainer, Reals(config, here.device), STEPS)
    had = {"notes": trainer.fast.told(), "compiled": trainer.fast.compile, "graphs": trainer.fast.graphs}
    return weights, trainer.watch.drain()["critic_loss"], had
