"""Runs side by side on one page: how near each came, what was set otherwise, curves over each other, grids, parity."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wgan.serve.base.command import written
from wgan.serve.base.files import atomic_write
from wgan.serve.base.progress import duration
from wgan.serve.base.terminal import counted
from wgan.serve.page.curves import Line, chart
from wgan.serve.page.html import MISSING, count, download, figure, note, number, row, section, sheet, table, text
from wgan.serve.page.pictures import picture
from wgan.serve.page.style import page
from wgan.training.report.curves import points
from wgan.training.report.data import ReportData, load, mapping
from wgan.training.report.header import distance_at, trained_for, verdicts
from wgan.training.report.parity import artifacts
from wgan.training.report.pictures import shipped_grid

_CURVES = (  # title, unit, kind of record, key, reference
    ("Sliced Wasserstein distance", "× 10³, lower is closer", "validation", "swd", None),
    ("FID", "lower is closer", "inception", "fid", None),
    ("Wasserstein estimate", "E[D(x)] − E[D(x̃)]", "train", "wasserstein", None),
    ("Gradient penalty", "E[(‖∇D(x̂)‖ − 1)²]", "train", "penalty", None),
    ("Gradient norm at x̂", "wanted: 1", "train", "grad_norm", 1.0),
    ("Generator loss", "−E[D(x̃)]", "train", "generator_loss", None),
    ("Diversity", "1: as varied as the data", "validation", "diversity", 1.0),
    ("Sharpness", "1: as sharp as the data", "validation", "sharpness", 1.0),
    ("Distance to the nearest training image", "1: as far as real images; 0: copies", "nearest", "ratio", 1.0),
)


def write_comparison(runs: Sequence[Path], out: Path) -> Path:
    """Writes the page of several run folders, and returns its path.

    Raises:
        OutputError: it cannot be written.
    """
    atomic_write(out, render([load(run) for run in runs]).encode())
    return out


def render(runs: Sequence[ReportData]) -> str:
    """The whole page."""
    names = _names(runs)
    about = sorted({str(run.info.get("data") or run.config.get("data") or run.name) for run in runs})
    body = (
        f'<header>\n<p class="over">WGAN-GP runs</p>\n<h1>{counted(len(runs), "run")} compared</h1>\n'
        f'<p class="lead">{text(", ".join(about))}</p>\n</header>\n',
        _outcome(runs, names),
        _settings(runs, names),
        _curves(runs, names),
        _grids(runs, names),
        *(
            artifacts(run.artifacts, shipped=run.shipped, name=run.name, title=f"Artifacts and parity: {name}")
            for run, name in zip(runs, names, strict=True)
        ),
    )
    return page(f"{counted(len(runs), 'run')} · WGAN-GP", "".join(body))


def _names(runs: Sequence[ReportData]) -> list[str]:
    """Of the runs, each another."""
    names: list[str] = []
    for run in runs:
        again = sum(name == run.name or name.startswith(f"{run.name} (") for name in names)
        names.append(f"{run.name} ({again + 1})" if again else run.name)
    return names


def _outcome(runs: Sequence[ReportData], names: Sequence[str]) -> str:
    """How near each came, when, and in what time; the nearest is marked where the runs can be compared."""
    found = [distance_at(run, run.shipped) for run in runs]
    known = [value for value in found if value is not None]
    alike = len({(str(run.info.get("data")), run.config.get("image_size")) for run in runs}) == 1
    rows, cells = [], []
    for run, name, distance in zip(runs, names, found, strict=True):
        least = alike and len(known) > 1 and distance is not None and distance == min(known)
        swd = f'<b class="good">{figure(distance)}</b>' if least else figure(distance)
        passed = [mapping(entry.get("parity")).get("passed") for entry in run.artifacts]
        shipped = run.shipped
        words = [f"<b>{text(name)}</b>", text(MISSING if shipped is None else shipped)]
        last = figure(distance_at(run, run.last))
        spent = trained_for(run)
        weights = number(mapping(run.info.get("parameters")).get("generator"))
        figures = [swd, last, count(run.step), duration(spent) if spent else MISSING, count(weights)]
        rows.append(row([*words, verdicts(passed) or MISSING], figures))
        step = None if shipped is None else shipped.step
        cells.append([name, step, distance, distance_at(run, run.last), run.step, spent, weights])
    heads = ("run", "export ships", "artifacts", "its SWD × 10³", "last SWD × 10³", "steps", "trained for", "weights")
    save = download(
        "runs.csv", "text/csv",
        sheet(("run", "shipped_step", "shipped_swd", "last_swd", "steps", "seconds", "generator_weights"), cells),
        "This table as CSV",
    )  # fmt: skip
    said = "" if alike else "The runs are of other data or sizes: their distances do not compare. "
    return section("How near each came", note(said + save), table(heads, rows, words=3))


def _settings(runs: Sequence[ReportData], names: Sequence[str]) -> str:
    """The settings that are not the same in all."""
    keys = dict.fromkeys(key for run in runs for key in run.config)
    lines = []
    for key in keys:
        values = [_said(run.config.get(key)) for run in runs]
        if len(set(values)) > 1:
            lines.append(row([f"<b>{text(key)}</b>", *map(text, values)]))
    if not lines:
        return section("Settings", note("All settings are the same."))
    return section("Settings that differ", table(["setting", *names], lines, words=len(names) + 1))


def _said(value: Any) -> str:
    return MISSING if value is None else written(value)


def _curves(runs: Sequence[ReportData], names: Sequence[str]) -> str:
    charts = []
    for title, unit, kind, key, reference in _CURVES:
        lines = [Line(name, points(getattr(run, kind), key)) for run, name in zip(runs, names, strict=True)]
        charts.append(chart(title, unit, lines, reference=reference))
    inside = "".join(charts)
    return section("Curves", f'<div class="charts">\n{inside}</div>\n') if inside else ""


def _grids(runs: Sequence[ReportData], names: Sequence[str]) -> str:
    parts = []
    for run, name in zip(runs, names, strict=True):
        found = shipped_grid(run)
        if found is not None:
            step, path = found
            of = run.shipped if run.shipped is not None and run.shipped.step == step else f"step {step:,}"
            parts.append(picture(path, alt=f"Generated images of {name} at step {step}", caption=f"{name}: {of}"))
    inside = "".join(parts)
    return section("Samples", f'<div class="pictures">\n{inside}</div>\n') if inside else ""
