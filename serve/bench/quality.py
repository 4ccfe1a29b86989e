"""Which measured rows can be trusted, and which of several attempts at one is kept."""

from collections.abc import Sequence
from typing import Any

from wgan.serve.bench.speed import NOISY, spread

Row = dict[str, Any]
FALL = 0.5  # of the images/s of a smaller batch: a row below it is out of line

GOOD, CONFIRMED = "good", "confirmed"
# quality → its mark before a figure, and what it means
MARKS = {
    "noisy": ("~", f"too noisy to trust: the middle half of the batches spans over {NOISY:.0%} of p50"),
    "loaded": ("!", "slowed down: other work kept cores busy meanwhile"),
    "unconfirmed": ("?", "out of line: less than half the images/s of a smaller batch, and not certain"),
    CONFIRMED: ("=", "less than half the images/s of a smaller batch; so it is, measured again"),
}
PLAIN = {  # in a sentence about one row
    "noisy": "noisy",
    "loaded": "measured beside other work",
    "unconfirmed": "out of line with a smaller batch",
}


def loaded(row: Row) -> bool:
    """Whether others took more than the row's `load_limit` of cores while it was measured; not where nobody knows."""
    limit = row.get("load_limit")
    return limit is not None and _taken(row) > limit


def quality(row: Row) -> str:
    """How far a row can be trusted: good, confirmed, noisy, loaded or unconfirmed; by itself where it is not judged."""
    if known := row.get("quality"):
        return str(known)
    return "loaded" if loaded(row) else "noisy" if row["spread"] > NOISY else GOOD


def doubtful(row: Row) -> bool:
    """Whether a measured row cannot be trusted."""
    return "error" not in row and quality(row) in PLAIN


def mark(row: Row) -> str:
    """The sign before a row's figures; empty for a good one."""
    return MARKS.get(quality(row), ("",))[0]


def legend(rows: Sequence[Row], slowed_peak: bool = False) -> list[str]:
    """A line for each mark that these rows have, or a peak beside them."""
    found = {quality(row) for row in rows if "error" not in row} | ({"loaded"} if slowed_peak else set())
    return [f"{sign} {meaning}" for name, (sign, meaning) in MARKS.items() if name in found]


def judge(cases: Sequence[Sequence[Row]]) -> list[Row]:
    """The attempt at each case that is kept, with its ``quality``, ``repeats`` and ``spread_between`` (of all of them).

    Args:
        cases: the attempts at each case, in order of time; those of one subject in order of the batch.
    """
    best: dict[str, float] = {}  # images/s of the smaller batches of each subject
    rows = []
    for attempts in cases:
        kept = least_disturbed(attempts)
        rates = [attempt["images_per_second"] for attempt in attempts if "error" not in attempt]
        row = {**kept, "repeats": len(attempts) - 1, "spread_between": spread(rates) if len(rates) > 1 else None}
        if "error" not in row:
            name, rate = f"{row['path']} {row['variant']}", row["images_per_second"]
            row["quality"] = _quality(attempts, kept, best.get(name, 0.0))
            best[name] = max(best.get(name, 0.0), rate)
        rows.append(row)
    return rows


def least_disturbed(attempts: Sequence[Row]) -> Row:
    """One of the attempts, never a mixture.

    Other work only ever takes time: what was measured without it goes before what was measured beside it, a steady
    attempt before a noisy one, and of attempts that look alike the fastest was disturbed least.
    """

    def disturbance(row: Row) -> tuple[bool, bool, bool, float, float]:
        if "error" in row:
            return True, False, False, 0.0, 0.0
        busy = loaded(row)
        return False, busy, row["spread"] > NOISY, _taken(row) if busy else 0.0, -row["images_per_second"]

    return min(attempts, key=disturbance)


def _quality(attempts: Sequence[Row], kept: Row, smaller: float) -> str:
    alone = quality(kept)
    if alone != GOOD or kept["images_per_second"] >= FALL * smaller:
        return alone
    least = (1 - NOISY) * kept["images_per_second"]
    agreeing = [
        attempt
        for attempt in attempts
        if "error" not in attempt and quality(attempt) == GOOD and attempt["images_per_second"] >= least
    ]
    return CONFIRMED if len(agreeing) > 1 else "unconfirmed"


def _taken(row: Row) -> float:
    return (row.get("load_others") or 0.0) + (row.get("steal") or 0.0)
