"""Several processes that train as one: each computes a share of every batch, gradients are averaged.

Every process draws the random numbers of the whole batch and keeps its own rows. So a run on eight GPUs is the
run on one, up to rounding, its checkpoint needs no word from the other processes, and it can be gone on with on
another number of them.

They may lie on several machines that share no disk: one process has the run's folder and writes, and sends the others
what they need of it. Each machine has the images and a cache of its own.
"""

from wgan.training.distributed.group import join
from wgan.training.distributed.launch import launched, own_device, restarted
from wgan.training.distributed.world import World

__all__ = ["World", "join", "launched", "own_device", "restarted"]
