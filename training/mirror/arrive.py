"""A start on an address: what lies there, what lies in the folder of that name here, and which of them goes on.

The one that is further goes on, by its newest whole checkpoint. Two runs are never mixed.
"""

from pathlib import Path

from wgan.serve import stores
from wgan.serve.base import owner
from wgan.serve.base.address import Address
from wgan.serve.base.command import command
from wgan.serve.base.errors import ConfigError, TrainingError
from wgan.serve.base.terminal import counted, say
from wgan.serve.storage.asking import Absent
from wgan.training.config import Config
from wgan.training.config.reading import parse
from wgan.training.distributed.launch import launch
from wgan.training.mirror.background import BucketMirror
from wgan.training.mirror.claim import Claim, Mark
from wgan.training.mirror.parts import CONFIG, MARK, parts_of, step_of, steps_in
from wgan.training.mirror.push import Pusher
from wgan.training.mirror.there import There, bring, is_whole, look
from wgan.training.records.folder import RunFolder


def arrive(address: Address, folder: Path, *, resume: bool, restarted: bool = False) -> tuple[BucketMirror, bool]:
    """Brings the folder to where the run is.

    Args:
        address: where the run is mirrored.
        folder: for it on this machine, owned by this process.
        resume: go on with a run.
        restarted: torchrun has started this again, with the words of the first start. On a machine that comes to a
            run later, the claim says so.

    Returns:
        The mirror, which claims the address once the run is sure to begin, and whether a run goes on.

    Raises:
        ConfigError: there is none to go on with, or one that was not asked for.
        TrainingError: a later start trains the run.
        StoreError: the address cannot be reached.
        OutputError: what is there cannot be written here.
    """
    there, mark, here = look(address), Mark.of(folder), (folder / CONFIG).is_file()
    begun = there is not None and bool(there.parts)
    if restarted or (not resume and there is not None and there.claim is not None and _launched(there.claim)):
        _still_ours(address, there, mark, resume)
        resume = resume or here or begun
    if not resume:
        return _begin(address, folder, there, mark)
    if there is None or not begun:
        if not here:
            raise ConfigError(
                f"there is no run at {address}: to begin one: `{command('train', '--run', str(address))}`"
            )
        mine = Claim.of_this_start(None if mark is None else mark.claim.run)
        known = Mark(str(address), Claim(mine.run, ""))
        return BucketMirror(Pusher(address, folder, known, mine, ()), begun=there is not None), True
    _same_run(address, folder, there, mark)
    mine = Claim.of_this_start(there.claim.run if there.claim else None)
    known = _brought(address, folder, there, mark or Mark(str(address), Claim(mine.run, "")))
    pusher = Pusher(address, folder, known, mine, there.parts)
    above = (name for step, name in steps_in(there.parts).items() if step > newest_whole(folder))
    pusher.damaged = {name for name in above if (folder / name).is_file()}
    return BucketMirror(pusher, begun=there.claim is not None), True


def saved_config(address: Address, folder: Path) -> Config:
    """The settings of the run at an address, or, where nothing lies there yet, of the one in its folder here.

    Raises:
        ConfigError: there is none, or it cannot be read.
        StoreError: the address cannot be reached.
    """
    try:
        return parse(stores.read(address / CONFIG).decode(), str(address / CONFIG))
    except UnicodeDecodeError:
        raise ConfigError(f"{address / CONFIG} is no text: name another address") from None
    except Absent:
        if (folder / CONFIG).is_file():
            return RunFolder(folder).read_config()
    raise ConfigError(f"there is no run at {address}: to begin one: `{command('train', '--run', str(address))}`")


def _still_ours(address: Address, there: There | None, mark: Mark | None, resume: bool) -> None:
    """Refuses a restart of processes whose run a later start has taken over meanwhile."""
    if there is None or there.claim is None:
        return
    now = launch()
    if now is not None:  # the first start has claimed a new run, or, as its folder says, one that it went on with
        mine = _launched(there.claim)
        claimed = not resume or (mark is not None and mark.claim.launch == now)
    else:
        mine = mark is None or mark.made_by_last_push(there.claim)
        claimed = mark is not None and bool(mark.claim.owner)
    if claimed and not mine:
        raise TrainingError(f"a later start trains {address} now: this one does not go on")


def _launched(claim: Claim) -> bool:
    """Whether a start of the command that torchrun runs now has made the claim."""
    return claim.launch is not None and claim.launch == launch()


def _begin(address: Address, folder: Path, there: There | None, mark: Mark | None) -> tuple[BucketMirror, bool]:
    """A new run: neither place may hold one."""
    way = command("train", "--resume", "--run", str(address))
    if there is not None and there.parts:
        raise ConfigError(f"{address} already holds a run: to go on with it: `{way}`; for a new one name another")
    if (folder / CONFIG).is_file():
        raise ConfigError(
            f"{folder}, where the run would be trained, already holds one: to go on with that: `{way}`; "
            "for a new one name another address"
        )
    if mark is not None:  # of a start that came no further
        (folder / MARK).unlink(missing_ok=True)
    mine = Claim.of_this_start()
    pusher = Pusher(address, folder, Mark(str(address), Claim(mine.run, "")), mine, ())
    return BucketMirror(pusher, begun=there is not None), False


def _same_run(address: Address, folder: Path, there: There, mark: Mark | None) -> None:
    """Refuses a folder that is of something else than what lies at the address."""
    if mark is not None and there.claim is not None and mark.claim.run == there.claim.run:
        return
    if (folder / CONFIG).is_file():
        alone = command("train", "--resume", "--run", folder)
        raise ConfigError(
            f"{folder} holds another run than {address}: move that folder away to go on with the one at the address, "
            f"or go on with the one here, without a mirror: `{alone}`"
        )
    if mark is None and any(entry.name != owner.FILE for entry in folder.iterdir()):
        raise ConfigError(f"{folder}, where the run at {address} is to be trained, is not empty: move it away")


def _brought(address: Address, folder: Path, there: There, mark: Mark) -> Mark:
    """The folder with what is there, if that is further; what is known of both then."""
    known = Mark(str(address), mark.claim, dict(mark.known), dict(mark.tags))
    if not mark.made_by_last_push(there.claim):  # another has pushed: only exports are left as they are
        known.known = {name: state for name, state in mark.known.items() if name.startswith("export/")}
    mine, theirs = newest_whole(folder), max(steps_in(there.parts), default=-1)
    if (folder / CONFIG).is_file() and mine >= theirs:
        if mine > theirs:
            say(f"{folder} is further than {address}: going on from step {mine:,}")
        return known
    wanted = {name: entry for name, entry in there.parts.items() if _beyond(name, mine)}
    count = bring(address, wanted, folder, known, mark)
    say(f"fetched {counted(count, 'file')} of {address} into {folder}")
    return known


def _beyond(name: str, step: int) -> bool:
    """Whether a file is none of a checkpoint up to ``step``."""
    own = step_of(name)
    return own is None or own > step


def newest_whole(folder: Path) -> int:
    """The step of the newest step checkpoint in a run folder that is whole; -1 without any."""
    return next((step for step, name in steps_in(parts_of(folder)).items() if is_whole(folder / name)), -1)
