"""`wgan bench --at-least`: a gate on images a second that does not rest on badly measured rows in silence."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from wgan.serve.bench.quality import PLAIN, doubtful, quality

Row = dict[str, Any]


def best_row(rows: Sequence[Row]) -> Row | None:
    """The row of the most images a second: a doubtful one only where there is no other; None where none was measured.

    Args:
        rows: of one file, run in one way.
    """
    measured = [row for row in rows if "error" not in row]
    trusted = [row for row in measured if not doubtful(row)]
    return max(trusted or measured, key=lambda row: row["images_per_second"], default=None)


@dataclass(frozen=True)
class Gate:
    """Whether a file, run in one way, makes enough images a second at its best batch."""

    name: str
    rows: Sequence[Row]
    at_least: float

    @property
    def rate(self) -> float:
        """Of the best batch that could be measured well; of the others where there is none; else 0."""
        best = best_row(self.rows)
        return best["images_per_second"] if best else 0.0

    @property
    def passed(self) -> bool:
        """Other work only slows: what is enough beside it is enough."""
        return self.rate >= self.at_least or bool(self._enough())

    @property
    def undecided(self) -> bool:
        """Not passed, but some of it could not be measured well."""
        return not self.passed and any(map(doubtful, self.rows))

    def line(self) -> str | None:
        """What there is to say; None where every row was good and it passed."""
        if self.passed:
            rows = [] if self.rate >= self.at_least else self._enough()
            return f"{self.name}: enough at {_told(rows)}, which can only be too low" if rows else None
        few = f"{self.name} makes {self.rate:,.0f} images/s at its best batch, fewer than {self.at_least:,.0f}"
        if not self.undecided:
            return few
        return f"{few}; not decided, as what could not be measured well is {_told(list(filter(doubtful, self.rows)))}"

    def _enough(self) -> list[Row]:
        return [row for row in self.rows if doubtful(row) and row["images_per_second"] >= self.at_least]


def _told(rows: Sequence[Row]) -> str:
    return ", ".join(f"batch {row['batch']:,} ({PLAIN[quality(row)]})" for row in rows)


def gates(by_name: dict[str, list[Row]], at_least: float | None) -> list[Gate]:
    """A gate a file and way of running it; none where nothing is asked for."""
    return [] if at_least is None else [Gate(name, rows, at_least) for name, rows in by_name.items()]
