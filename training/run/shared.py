"""What the first process reads of the disk and the others are sent, as they may lie on machines that do not have it."""

from pathlib import Path

from wgan.training.distributed import World
from wgan.training.records import checkpoint
from wgan.training.records.checkpoint import Loaded
from wgan.training.step.trainer import Trainer
from wgan.training.step.warm_start import NONE


def newest_checkpoint(folder: Path, world: World) -> Loaded | None:
    """The newest whole checkpoint of the first process, in every process; None where there is none at all.

    Where each process sees that very file it reads it by itself.

    Raises:
        CheckpointError: as `checkpoint.load_last`.
    """

    def load() -> Loaded | None:
        some = checkpoint.list_steps(folder) or (folder / checkpoint.BEST).is_file()
        return checkpoint.load_last(folder) if some else None

    held = load() if world.first else None
    if world.size == 1:
        return held
    told = world.same(lambda: None if held is None else (held.path, checkpoint.sha256(held.path), held.damaged))
    if told is None:
        return None
    path, digest, damaged = told
    if held is None and path.is_file() and checkpoint.sha256(path) == digest:
        held = Loaded(path, checkpoint.load(path), damaged)
    if world.any(held is None):  # its tensors too: as large as the file, some gigabytes at most
        sent = world.same(lambda: held)
        held = held or sent
    return held


def start_from_others(trainer: Trainer, world: World) -> list[str]:
    """`Trainer.start_from_others` by the files of the first process; its lines, in every process."""
    notes = world.same(trainer.start_from_others)
    if world.size > 1 and {trainer.config.init_generator, trainer.config.init_critic} != {NONE}:
        state = trainer.state_dict() if world.first else None
        state = world.same(lambda: state)
        if state is not None and not world.first:
            trainer.load_state_dict(state)
    return notes
