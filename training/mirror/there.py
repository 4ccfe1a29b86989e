"""What of a run lies at an address, and how it comes here: whole files, and what came is not fetched again."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from wgan.serve import stores
from wgan.serve.base.address import Address
from wgan.serve.base.errors import ConfigError
from wgan.serve.base.progress import counter
from wgan.serve.storage.objects import Entry
from wgan.training.mirror import claim
from wgan.training.mirror.claim import Claim, Mark
from wgan.training.mirror.parts import CONFIG, in_order_of_arrival, is_part, parts_of, step_of


@dataclass(frozen=True)
class There:
    """What lies at an address: who pushes there, and the files of the run, none where it has just begun."""

    claim: Claim | None
    parts: Mapping[str, Entry]


def look(address: Address) -> There | None:
    """What lies at an address; None where nothing does.

    Raises:
        ConfigError: it is no prefix of a run's.
        StoreError: it cannot be looked at.
    """
    if not address.key:
        raise ConfigError(f"{address} is a whole bucket: name a prefix in it, {address / 'runs/NAME'}")
    found = claim.read(address)
    if found is None and stores.head(address / CONFIG) is None:
        other = next(iter(stores.entries(address)), None)
        if other is None:
            return None
        raise ConfigError(f"{address} holds something else than a run, such as {other.place}: name another prefix")
    first = len(address.key) + 1
    named = {entry.place.key[first:]: entry for entry in stores.entries(address) if isinstance(entry.place, Address)}
    return There(found, {name: entry for name, entry in named.items() if is_part(name)})


def bring(address: Address, wanted: Mapping[str, Entry], folder: Path, known: Mark, before: Mark) -> int:
    """Fetches files of a run into its folder: of step checkpoints the newest whole one, and damaged ones before it.

    Args:
        address: of the run.
        wanted: the files, by name.
        folder: where to.
        known: learns of them.
        before: what was known of the folder: what came from there and is the same is not fetched again.

    Returns:
        How many were fetched.

    Raises:
        StoreError, OutputError: it stopped there; what came is not fetched again.
    """
    known.write(folder)
    here, done, found, fetched = parts_of(folder), 0, False, 0
    total = sum(entry.size for entry in wanted.values())
    with counter(f"kB of {address}") as progress:

        def passed(now: int, _: int) -> None:
            progress((done + now) // 1000, total // 1000, "")

        try:
            for name in in_order_of_arrival(wanted):
                entry, path, is_step = wanted[name], folder / name, step_of(name) is not None
                if is_step and found:
                    continue
                if name not in here or (before.known.get(name), before.tags.get(name)) != (here[name], entry.tag):
                    entry = stores.fetch(address / name, path, passed)
                    fetched += 1
                state = path.stat()
                known.known[name], known.tags[name] = (state.st_size, state.st_mtime_ns), entry.tag
                found = found or (is_step and is_whole(path))
                done += entry.size
        finally:
            known.write(folder)
    return fetched


def is_whole(path: Path) -> bool:
    """Whether every byte of a checkpoint is as it was written."""
    try:
        with ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, BadZipFile, EOFError, ValueError, NotImplementedError, RuntimeError):
        return False
