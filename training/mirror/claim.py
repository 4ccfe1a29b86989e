"""Which run lies at an address and which start of it pushes: an object of random ids. No clock decides anything.

A start that goes on with the run writes a new id over the one before. Who pushed until then finds a foreign id when it
pushes next, and ends.
"""

import json
import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from wgan.serve import stores
from wgan.serve.base.address import Address
from wgan.serve.base.errors import ConfigError
from wgan.serve.base.files import atomic_write
from wgan.serve.base.foreign_json import parse_json
from wgan.serve.storage.asking import Absent
from wgan.training.mirror.parts import MARK, OWNER

SCHEMA = 1
State = tuple[int, int]  # of a file: bytes, and ns of its last change


@dataclass(frozen=True)
class Claim:
    """What the object says.

    Args:
        run: id of the run, for good.
        owner: id of the start that pushes.
        launch: a digest of the name that torchrun gives all its starts of one command; None without one.
    """

    run: str
    owner: str
    launch: str | None = None

    @classmethod
    def of_this_start(cls, run: str | None = None) -> Self:
        """A claim of this start on a run, or on a new one."""
        from wgan.training.distributed.launch import launch  # with torch, which who only reads a run may not have

        return cls(run or secrets.token_hex(8), secrets.token_hex(8), launch())


def read(address: Address) -> Claim | None:
    """The claim at an address; None where there is none.

    Raises:
        ConfigError: it is of a later wgan, or not ours.
        StoreError: it cannot be read.
    """
    place = address / OWNER
    try:
        held = parse_json(stores.read(place))
        if held["schema"] > SCHEMA:
            raise ConfigError(f"{address} is the mirror of a newer wgan: update wgan")
        return _claim_of(held)
    except Absent:
        return None
    except (ValueError, KeyError, TypeError):
        raise ConfigError(f"{place} is not what wgan writes there: name another address") from None


def write(address: Address, claim: Claim, *, create: bool = False) -> bool:
    """Makes it the one at the address. ``create``: only where there is none; False where there is one."""
    content = json.dumps({"schema": SCHEMA, **asdict(claim)}).encode()
    return stores.write(address / OWNER, content, create=create)


@dataclass
class Mark:
    """What a folder on this disk says of its mirror.

    Args:
        address: of the mirror, as it was typed.
        claim: the last one of this folder.
        known: the files that lie there as they lie here.
        tags: of those that came from there, the objects' tags.
    """

    address: str
    claim: Claim
    known: dict[str, State] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: Path) -> Self | None:
        """The one in ``folder``; None where there is none that can be read."""
        try:
            held: Any = parse_json((folder / MARK).read_bytes())
            known = {str(name): (int(size), int(time)) for name, (size, time) in held["known"].items()}
            tags = {str(name): str(tag) for name, tag in held["tags"].items()}
            return cls(str(held["address"]), _claim_of(held), known, tags)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def write(self, folder: Path) -> None:
        """Puts it into ``folder``. Raises OutputError."""
        held = {"address": self.address, **asdict(self.claim), "known": self.known, "tags": self.tags}
        atomic_write(folder / MARK, json.dumps(held).encode())

    def made_by_last_push(self, found: Claim | None) -> bool:
        """Whether the last start that pushed, ``found`` at the address, was of this folder, which knows its work."""
        return found is not None and (found.run, found.owner) == (self.claim.run, self.claim.owner)


def _claim_of(held: Any) -> Claim:
    launched = held.get("launch")
    return Claim(str(held["run"]), str(held["owner"]), None if launched is None else str(launched))
