"""A run's `report.html`: one page that carries everything it shows and needs no network."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wgan.serve.base.files import atomic_write
from wgan.serve.page.html import text
from wgan.serve.page.style import page
from wgan.training.report import sections
from wgan.training.report.data import ReportData, load
from wgan.training.report.parity import artifacts as parity


def write_report(run: Path, artifacts: Sequence[Mapping[str, Any]] | None = None) -> Path:
    """Writes `<run>/report.html` from what lies in the run folder, and returns its path.

    A section whose files are missing or unreadable is left out.

    Args:
        run: the run folder.
        artifacts: as `artifact.summary` describes them; those of the export folder if not given.

    Raises:
        OutputError: the page cannot be written.
    """
    path = run / "report.html"
    atomic_write(path, render(load(run, artifacts)).encode())
    return path


def render(run: ReportData) -> str:
    """The whole page."""
    body = (
        sections.header(run),
        sections.samples(run),
        sections.history(run),
        sections.advice(run),
        sections.curves(run),
        sections.distance(run),
        sections.inception(run),
        parity(run.artifacts),
        sections.speed(run),
        sections.configuration(run),
        sections.timings(run),
        sections.events(run),
    )
    return page(f"{text(run.name)} · WGAN-GP", "".join(body))
