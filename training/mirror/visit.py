"""A run at an address for a command that reads it: what it needs is fetched, and what it writes into it is put back.

It lies in a folder of its own, never in one in which a run is trained: `runs/.cache/mirrors/…`.
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from wgan.serve import stores
from wgan.serve.artifacts.find import ROOT
from wgan.serve.base.address import Address
from wgan.serve.base.errors import ConfigError
from wgan.serve.base.fetched import note
from wgan.serve.base.terminal import counted, detail
from wgan.training.mirror.claim import Claim, Mark
from wgan.training.mirror.parts import BEST, CONFIG, parts_of, step_of
from wgan.training.mirror.there import bring, look

Needs = Callable[[str], bool]  # of a file's name below the run


class Visit:
    """A run at an address, as far as a command needs it.

    Args:
        address: of the run.
        needs: which of its files. Of step checkpoints the newest whole one is meant.

    Raises:
        ConfigError: there is no run.
        StoreError: the address cannot be reached.
        OutputError: the files cannot be written here.
    """

    def __init__(self, address: Address, needs: Needs):
        there = look(address)
        if there is None or CONFIG not in there.parts:
            raise ConfigError(f"there is no run at {address}: name another one with --run")
        self.address = address
        self.folder = _folder(address)
        before = Mark.of(self.folder) or Mark(str(address), there.claim or Claim("", ""))
        wanted = {name: entry for name, entry in there.parts.items() if name == CONFIG or needs(name)}
        self._mark = Mark(before.address, before.claim, dict(before.known), dict(before.tags))
        for name in [name for name in before.known if needs(name) and name not in wanted]:  # gone from there
            (self.folder / name).unlink(missing_ok=True)
            del self._mark.known[name]
        count = bring(address, wanted, self.folder, self._mark, before)
        detail(f"fetched {counted(count, 'file')} of {address}, which lies below {self.folder.parent}")
        note(self.folder, address)

    def put_back(self, prefixes: tuple[str, ...]) -> int:
        """Pushes what was written below these prefixes, and removes there what was removed here.

        Returns:
            How many files were pushed.

        Raises:
            StoreError: the address does not take it.
        """
        parts, known = parts_of(self.folder), self._mark.known
        changed = [name for name, state in parts.items() if name.startswith(prefixes) and known.get(name) != state]
        try:
            for name in sorted(changed, key=lambda name: ("/" not in name, name)):  # the page of them last
                stores.write(self.address / name, self.folder / name)
                known[name] = parts[name]
                self._mark.tags.pop(name, None)
            for name in [name for name in known if name.startswith(prefixes) and name not in parts]:
                stores.remove(self.address / name)
                del known[name]
        finally:
            self._mark.write(self.folder)
        return len(changed)


def _folder(address: Address) -> Path:
    """Where it lies here: the last name is the run's."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL", "") if address.scheme == "s3" else ""
    digest = hashlib.sha256(f"{address}\0{endpoint}".encode()).hexdigest()[:16]
    return ROOT / ".cache" / "mirrors" / digest / (address.name or address.bucket)


def page(name: str) -> bool:
    """What a run's report shows."""
    return not name.startswith("tensorboard/")


def checkpoint_alone(which: str) -> Needs:
    """`--checkpoint best|last`: the best one, and the newest, which stands in for it."""
    return lambda name: step_of(name) is not None or (name == BEST and which == "best")
