"""What processes on machines without a shared disk tell each other: what the first one reads there, their images."""

from pathlib import Path

from wgan.serve.base.errors import DatasetError
from wgan.training.data import ImageSet, contents
from wgan.training.data.changes import compare
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


def check_images(world: World, data: ImageSet, where: str) -> None:
    """Refuses, in every process, images that are not the same in all of them.

    Raises:
        DatasetError: names the process and its machine, and which images differ. The same line in all processes.
    """
    digests = world.gather(data.digest)
    if len({*digests}) == 1:
        return
    rank = next(rank for rank, digest in enumerate(digests) if digest != digests[0])
    lists = world.gather(data.contents if world.rank in (0, rank) else None)
    first, there = (contents.unpack(lists[each] or b"", digests[each]) for each in (0, rank))
    how = "" if first is None or there is None else compare(first, there).told()
    raise DatasetError(
        f"{world.who(rank)} has other images in {where} than {world.who(0)}"
        f"{f': {how}' if how else ''} (digest {digests[rank][:8]}…, not {digests[0][:8]}…): "
        "they changed while the processes opened them, or each machine has a copy of its own and one is not whole: "
        "bring the same images to every machine"
    )
