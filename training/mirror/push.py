"""One push of a run folder: what has changed, in an order in which the mirror is a whole run at every moment."""

import re
from collections.abc import Iterable
from pathlib import Path

from wgan.serve import stores
from wgan.serve.base.address import Address
from wgan.serve.base.errors import TrainingError, WganError
from wgan.serve.storage.asking import Absent
from wgan.training.mirror import claim
from wgan.training.mirror.claim import Claim, Mark, State
from wgan.training.mirror.parts import BEST, METRICS, in_order, is_part, outlived, parts_of, step_of, steps_in

_REPLACED = re.compile(r"samples/(interpolation|nearest)-")  # what a run removes of its pictures
_GROWING = "tensorboard/"  # files that only grow: pushed whole at the end, and before that each time they doubled


class TakenOver(TrainingError):
    """A later start elsewhere trains the run now."""


class Pusher:
    """Pushes one run to one address.

    Args:
        address: where to.
        folder: the run's.
        mark: what is known to lie there; kept in the folder.
        mine: the claim of this start.
        there: names of what lies there.
    """

    def __init__(self, address: Address, folder: Path, mark: Mark, mine: Claim, there: Iterable[str]):
        self.address, self.folder, self._mark, self._mine = address, folder, mark, mine
        self.there = set(there)
        self.keep = 1  # checkpoints, as `keep_checkpoints`
        self.damaged: set[str] = set()  # checkpoints there that are not whole
        self.held: int | None = None  # a step that lies there, beyond the folder's own: nothing is pushed over it
        self._beyond = -1
        self.refused: str | None = None  # why old ones could not be removed the last time

    @property
    def behind(self) -> bool:
        """Whether the folder has anything that is not there."""
        return any(self._due(name, state, last=True) for name, state in parts_of(self.folder).items())

    def claim(self, *, create: bool) -> bool:
        """Makes this start the owner; False where ``create`` is asked for and there is one.

        Raises:
            WganError: the store takes nothing, or the folder does not.
        """
        if not claim.write(self.address, self._mine, create=create):
            return False
        self._mark.claim = self._mine
        self._mark.write(self.folder)
        names = (
            str(entry.place)[len(str(self.address / "")) :] for entry in stores.entries(self.address / "checkpoints")
        )
        self.there |= {name for name in names if is_part(name)}  # an earlier start may have pushed until now
        self._beyond = max(steps_in(self.there - self.damaged), default=-1)
        return True

    def push(self, *, last: bool = False) -> int:
        """Pushes what has changed since the last one. ``last``: growing files too.

        Returns:
            How many objects were written; none while what lies there is further.

        Raises:
            TakenOver: another start owns the address.
            WganError: the store takes nothing; what was pushed before is whole.
        """
        self._check_owner()
        parts, written = parts_of(self.folder), 0
        self.held = self._beyond if max(steps_in(parts), default=-1) < self._beyond else None
        if self.held is not None:
            return 0
        try:
            for name in in_order(name for name, state in parts.items() if self._due(name, state, last)):
                if name == BEST or step_of(name) is not None:
                    self._check_owner()
                if self._put(name, parts[name]):
                    written += 1
            self._remove(parts)
        finally:
            self._mark.write(self.folder)
        return written

    def _due(self, name: str, state: State, last: bool) -> bool:
        known = self._mark.known.get(name)
        if name not in self.there or known is None:
            return True
        if name.startswith(_GROWING) and not last:
            return state[0] >= 2 * known[0]
        return known != state

    def _put(self, name: str, state: State) -> bool:
        """Whether the file was still there to be written."""
        path = self.folder / name
        try:
            if name == METRICS:  # a line is appended now and then: whole ones are pushed
                content = path.read_bytes()
                stores.write(self.address / name, content[: content.rfind(b"\n") + 1])
            else:
                stores.write(self.address / name, path)
        except (FileNotFoundError, Absent):  # pruned meanwhile: a newer one is on its way
            return False
        self.there.add(name)
        self._mark.known[name] = state
        return True

    def _remove(self, parts: Iterable[str]) -> None:
        """Removes what the run has removed, now that what came in its place is there."""
        pushed = [step for step, name in steps_in(parts).items() if name in self.there]
        gone = outlived(self.there, max(pushed), self.keep) if pushed else []
        gone += [name for name in self.there if _REPLACED.match(name) and name not in parts]
        self.refused = None
        if not gone:
            return
        self._check_owner()
        for name in gone:
            try:
                stores.remove(self.address / name)
            except WganError as error:  # nothing is lost by what stays
                self.refused = str(error)
                return
            self.there.discard(name)
            self._mark.known.pop(name, None)

    def _check_owner(self) -> None:
        """Finds out whether another start has taken over; an address that was emptied is filled anew."""
        mine, found = self._mine, claim.read(self.address)
        if found is not None and (found.run, found.owner) == (mine.run, mine.owner):
            return
        if found is None and claim.write(self.address, mine, create=True):
            self.there.clear()
            return
        raise TakenOver(f"a later start trains {self.address} now")
