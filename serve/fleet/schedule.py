"""Which shard is begun next, and when one is begun a second time: plain code that knows no cluster and no clock.

Whoever runs the shards asks `Schedule.start` for what to begin and tells it how each attempt ended; seconds are those
of its own clock. A lost attempt is begun again before anything else. When nothing is left to begin and a slot is free,
the shard that has run longest is begun a second time, if it is slow beside the others; the first whole one counts.
"""

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

SLOW = 1.5  # times the median of the finished: what runs longer is begun a second time
MOST = 2  # attempts of one shard at a time
_RECENT = 1000  # durations that the median is taken of


@dataclass(eq=False)
class Attempt:
    """One attempt to make a shard. ``began``: when it had a slot, in seconds; None while it waits for one."""

    shard: int
    copy: bool
    began: float | None = None


def in_flight(slots: int) -> int:
    """Attempts that may be handed out at a time: enough that no slot waits, and few enough for any number of shards."""
    return 2 * max(1, slots)


class Schedule:
    """The shards that are to be made, and the attempts to make them.

    Args:
        shards: their numbers, in the order in which they are begun.
        copies: whether a slow one is begun a second time.
        ahead: whether more may be handed out than there are slots, which then wait for one in their order.
    """

    def __init__(self, shards: Iterable[int], *, copies: bool = True, ahead: bool = True):
        self._todo = deque(shards)
        self.left = len(self._todo)  # shards that are not whole
        self._copies = copies
        self._ahead = ahead
        # in their order, as the keys of a dictionary
        self._running: dict[Attempt, None] = {}
        self._waiting: dict[Attempt, None] = {}
        self._at: Counter[int] = Counter()  # attempts at each shard
        self._finished: set[int] = set()
        self._seconds: deque[float] = deque(maxlen=_RECENT)
        self.attempts = 0
        self.copied = 0
        self.lost_attempts = 0

    @property
    def ended(self) -> bool:
        """Whether every shard is whole. Attempts that are no more needed may still run."""
        return not self.left

    def start(self, now: float, slots: int) -> Attempt | None:
        """What is to be begun now; None for nothing until another attempt has ended or time has passed.

        ``slots``: attempts that can run at a time.
        """
        self._give_slots(now, slots)
        handed_out = len(self._running) + len(self._waiting)
        if self._todo:
            if handed_out >= (in_flight(slots) if self._ahead else slots):
                return None
            attempt = Attempt(self._todo.popleft(), copy=False)
        else:
            shard = self._slow(now) if self._copies and handed_out < slots else None
            if shard is None:
                return None
            attempt = Attempt(shard, copy=True)
            self.copied += 1
        self.attempts += 1
        self._at[attempt.shard] += 1
        self._waiting[attempt] = None
        self._give_slots(now, slots)
        return attempt

    def done(self, attempt: Attempt, now: float) -> list[Attempt]:
        """An attempt ended with its shard whole: the other attempts at this shard, which nobody needs any more."""
        self.dropped(attempt)
        if attempt.shard not in self._finished:
            self._finished.add(attempt.shard)
            self.left -= 1
            if attempt.began is not None:
                self._seconds.append(now - attempt.began)
        if attempt.shard not in self._at:
            return []
        return [other for other in (*self._running, *self._waiting) if other.shard == attempt.shard]

    def lost(self, attempt: Attempt) -> bool:
        """An attempt ended without its shard, as its machine did: it is made again, unless another attempt is at it.

        False where nobody needed it any more.
        """
        self.dropped(attempt)
        if attempt.shard in self._finished:
            return False
        self.lost_attempts += 1
        if attempt.shard not in self._at:
            self._todo.appendleft(attempt.shard)
        return True

    def dropped(self, attempt: Attempt) -> None:
        """An attempt that nobody needed has ended, or is waited for no longer."""
        del (self._running if attempt in self._running else self._waiting)[attempt]
        self._at[attempt.shard] -= 1
        if not self._at[attempt.shard]:
            del self._at[attempt.shard]

    def _give_slots(self, now: float, slots: int) -> None:
        while self._waiting and len(self._running) < max(1, slots):
            attempt = next(iter(self._waiting))
            del self._waiting[attempt]
            attempt.began = now
            self._running[attempt] = None

    def _slow(self, now: float) -> int | None:
        """The shard that has run longest, where that is long beside the finished ones; None for none."""
        if not self._seconds:
            return None
        limit = SLOW * median(self._seconds)
        for attempt in self._running:  # the oldest first
            if attempt.began is None or now - attempt.began <= limit:
                return None
            if attempt.shard not in self._finished and self._at[attempt.shard] < MOST:
                return attempt.shard
        return None
