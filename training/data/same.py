"""Whether the processes of a run see the same images."""

from wgan.serve.base.errors import DatasetError
from wgan.training.data import ImageSet, contents
from wgan.training.data.changes import compare
from wgan.training.distributed import World


def check_same_images(world: World, data: ImageSet, where: str) -> None:
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
