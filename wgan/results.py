"""What `wgan.train` and `wgan.verify` return: plain values, and what a notebook shows of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wgan.export.verify import Row
    from wgan.serve.artifacts.origin import Origin
    from wgan.training.run.loop import Trained


@dataclass(frozen=True)
class Run:
    """A run folder and how training in it ended. Wherever a path is taken it stands for its folder.

    Args:
        path: the run folder.
        step: generator updates that are done.
        finished: whether all steps are done; otherwise it was stopped and saved: `wgan.train(resume=True, run=…)`.
        seconds: that this call took.
        images_per_second: real images that the critic saw a second.
        swd: sliced Wasserstein distance to held-out images, smaller is better; None if it was not measured.
        scores: FID and its like, where they were measured.
        best: what `wgan.export` takes: its ``step`` and the distances measured of it; None where there is no best yet.
        mirror: the address in object storage that it was pushed to; None where there is none.
    """

    path: Path
    step: int
    finished: bool
    seconds: float
    images_per_second: float
    swd: float | None
    scores: dict[str, Any] | None
    best: "Origin | None"
    mirror: str | None = None

    @classmethod
    def of(cls, trained: "Trained") -> "Run":
        """From what the training loop returns."""
        values = dict(vars(trained))
        return cls(path=values.pop("run"), best=values.pop("standing").best, **values)

    @property
    def report(self) -> Path:
        """The page to look at."""
        return self.path / "report.html"

    def __fspath__(self) -> str:
        return str(self.path)

    def _repr_html_(self) -> str:
        rows = {
            "run": str(self.path),
            "step": f"{self.step:,}" if self.finished else f"{self.step:,} (stopped, saved)",
            "SWD": "–" if self.swd is None else f"{self.swd:.1f}",
            "best, which export takes": "–" if self.best is None else self.best.measured,
            **{str(name): f"{value:.4g}" for name, value in (self.scores or {}).items() if isinstance(value, float)},
            "real images a second": f"{self.images_per_second:,.0f}",
            "report": str(self.report),
        }
        cells = (f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows.items())
        return f"<table>{''.join(cells)}</table>"


@dataclass(frozen=True)
class Verification:
    """What was measured of one artifact or of a folder of them.

    Args:
        artifacts: a row each: ``path``, ``parity`` (the report) and ``passed``; of a file that could not be read
            ``path`` and ``reason``.
    """

    artifacts: "tuple[Row, ...]"

    @property
    def passed(self) -> bool | None:
        """Whether all hold: False if one does not or was refused, otherwise None if one could not be measured."""
        from wgan.export.verify import passed

        return passed(self.artifacts)

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {"passed": self.passed, "artifacts": [row.to_dict() for row in self.artifacts]}

    def __iter__(self) -> "Iterator[Row]":
        return iter(self.artifacts)

    def __len__(self) -> int:
        return len(self.artifacts)

    def __str__(self) -> str:
        from wgan.export.table import parity_table
        from wgan.serve.base.fold import USUAL
        from wgan.serve.base.paint import unpainted

        return unpainted(parity_table(self.artifacts, USUAL))

    def _repr_html_(self) -> str:
        from wgan.training.report.parity import artifacts

        rows = [row.to_dict() for row in self.artifacts]
        return artifacts([{**row, "parity": {"reason": row["error"]}} if "error" in row else row for row in rows])
