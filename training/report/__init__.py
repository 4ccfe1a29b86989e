"""A run's `report.html`: one page that carries everything it shows and needs no network."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wgan.serve.base.files import atomic_write
from wgan.serve.page.html import text
from wgan.serve.page.style import page
from wgan.training.report import pictures, sections
from wgan.training.report.curves import curves
from wgan.training.report.data import ReportData, load
from wgan.training.report.header import header
from wgan.training.report.parity import artifacts as parity


def write_report(run: Path, artifacts: Sequence[Mapping[str, Any]] | None = None, *, out: Path | None = None) -> Path:
    """Writes `<run>/report.html` from what lies in the run folder, and returns its path.

    A section whose files are missing or unreadable is left out.

    Args:
        run: the run folder.
        artifacts: as `artifact.summary` describes them; those of the export folder if not given.
        out: where else the page is to be.

    Raises:
        OutputError: the page cannot be written.
    """
    path = run / "report.html" if out is None else out
    atomic_write(path, render(load(run, artifacts)).encode())
    return path


def render(run: ReportData) -> str:
    """The whole page."""
    body = (
        header(run),
        pictures.samples(run),
        parity(run.artifacts, shipped=run.shipped, name=run.name),
        pictures.classes(run),
        pictures.nearest(run),
        pictures.history(run),
        sections.advice(run),
        curves(run),
        sections.distance(run),
        sections.inception(run),
        pictures.interpolation(run),
        sections.speed(run),
        sections.configuration(run),
        sections.timings(run),
        sections.events(run),
    )
    return page(f"{text(run.name)} · WGAN-GP", "".join(body))
