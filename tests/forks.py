"""Processes that begin with torch loaded: forks of one server, made before any thread of torch's."""

import multiprocessing
from multiprocessing.context import ForkServerContext


def forks() -> ForkServerContext:
    """The context to make them in."""
    context = multiprocessing.get_context("forkserver")
    # a first optimiser step loads the second, a first record the third: as much as torch itself, in each process
    context.set_forkserver_preload(["wgan.training.run.loop", "torch._dynamo", "torch.utils.tensorboard"])
    return context
