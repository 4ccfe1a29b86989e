"""Weights of an earlier run to start from, such as a pretrained critic."""

from wgan.serve.base.errors import CheckpointError
from wgan.serve.base.paths import named_path
from wgan.training.config import Config
from wgan.training.networks import Critic, Generator
from wgan.training.records import checkpoint

NONE = "none"


def start_from(config: Config, generator: Generator, critic: Critic) -> list[str]:
    """Fills the networks from the checkpoints, or run folders, that ``init_generator`` and ``init_critic`` name.

    The generator takes the averaged weights, which are the better ones, and the critic its own.

    Returns:
        Lines that say where a run's best is not what was taken.

    Raises:
        CheckpointError: no such file, or its networks have other shapes.
    """
    notes: list[str] = []
    for setting, name, key, network in (
        ("init_generator", config.init_generator, "ema", generator),
        ("init_critic", config.init_critic, "critic", critic),
    ):
        if name == NONE:
            continue
        path = named_path(name, setting)
        path = checkpoint.find(path, "best", notes.append) if path.is_dir() else path
        state = checkpoint.load(path)
        if key not in state:
            raise CheckpointError(f"{setting}: {path} holds no critic: name a checkpoint of a run")
        if differs := checkpoint.difference(network, state[key]):
            raise CheckpointError(
                f"{setting}: the network in {path} is another one: {differs}: "
                "take its settings for this run, or name another checkpoint"
            )
        network.load_state_dict(state[key])
    return notes
