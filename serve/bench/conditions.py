"""The conditions of a benchmark: what else the machine did, and what was measured again because of it."""

from collections.abc import Sequence
from statistics import median
from typing import Any

from wgan.serve.base.terminal import counted
from wgan.serve.bench.quality import doubtful

Row = dict[str, Any]
LITTLE = 0.05  # cores: less stolen or held back is not worth a line


def conditions(rows: Sequence[Row], before: float | None) -> Row:
    """Of measured rows, for `--json`: `load_others` from the least to the most of a row; None is not known.

    Args:
        rows: as they were judged.
        before: the load average before the first.
    """
    loads = [row["load_others"] for row in rows if row.get("load_others") is not None]
    return {
        "load_average_before": before,
        "load_others": {"least": min(loads), "median": median(loads), "most": max(loads)} if loads else None,
        "steal": _most(rows, "steal"),
        "throttled": _most(rows, "throttled"),
        "cases": len(rows),
        "repeated": sum(row.get("repeats", 0) > 0 for row in rows),
        "doubtful": sum(doubtful(row) for row in rows),
    }


def lines(found: Row, threads: int) -> list[str]:
    """For people, each within 80 columns."""
    before, during = found["load_average_before"], found["load_others"]
    known = [] if before is None else [f"load average {before:.1f} before"]
    if during is not None:
        ends = dict.fromkeys(f"{during[end]:.1f}" for end in ("least", "most"))
        known.append(f"{' to '.join(ends)} of {counted(threads, 'core')} beside the figures")
    told = [f"other work: {', '.join(known) or 'not known here'}"]
    if (found["steal"] or 0.0) > LITTLE:
        told.append(f"the host of this virtual machine took up to {found['steal']:.1f} cores away")
    if (found["throttled"] or 0.0) > LITTLE:
        told.append(f"this process's own quota held up to {found['throttled']:.1f} cores back, which no repeat changes")
    if found["repeated"]:
        left = f", {found['doubtful']} in doubt still" if found["doubtful"] else ""
        told.append(f"{found['repeated']} of {counted(found['cases'], 'case')} measured again{left}")
    return told


def _most(rows: Sequence[Row], key: str) -> float | None:
    return max((row[key] for row in rows if row.get(key) is not None), default=None)
