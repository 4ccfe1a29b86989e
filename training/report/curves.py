"""The curves of a report, and their data as a table to save."""

from collections.abc import Sequence
from typing import Any

from wgan.serve.page.curves import Line, Mark, chart
from wgan.serve.page.html import download, note, number, section, sheet
from wgan.training.report.data import ReportData, Values, levels

MOST_ROWS = 1000  # of training records in the table that comes along
_COLUMNS = (  # of the table: kind of record, keys
    ("train", ("images", "wasserstein", "penalty", "grad_norm", "critic_loss", "generator_loss", "seconds")),
    ("validation", ("swd", "diversity", "sharpness")),
    ("inception", ("fid", "frechet_distance", "kid", "inception_score")),
    ("nearest", ("ratio",)),
)


def points(records: Sequence[Values], key: str) -> list[tuple[float, float]]:
    """(step, value) where the value is a number."""
    pairs = ((record["step"], number(record.get(key))) for record in records)
    return [(float(step), value) for step, value in pairs if value is not None]


def curves(run: ReportData) -> str:
    """The watched quantities during training, as curves."""
    sizes = _sizes(run)
    distances = [Line("mean", points(run.validation, "swd"))]
    for size in sizes:
        by_step = [(float(r["step"]), levels(r, "swd_levels").get(size, float("nan"))) for r in run.validation]
        distances.append(Line(f"{size} px", by_step))
    beside = [Line(name, points(run.validation, name)) for name in ("diversity", "sharpness")]
    advised = sorted({float(event["step"]) for event in run.events if "rule" in event or "data" in event})
    marks = [Mark(step) for step in advised]
    if run.best is not None:
        marks.append(Mark(float(run.best.step), "best"))
    charts = [
        chart(title, unit, lines, reference=reference, marks=marks)
        for title, unit, lines, reference in (
            ("Wasserstein estimate", "E[D(x)] − E[D(x̃)]", [Line("", points(run.train, "wasserstein"))], None),
            ("Sliced Wasserstein distance", "× 10³, lower is closer", distances, None),
            ("FID", "lower is closer", [Line("", points(run.inception, "fid"))], None),
            (
                "Fréchet distance",
                "no FID; lower is closer",
                [Line("", points(run.inception, "frechet_distance"))],
                None,
            ),
            ("Gradient penalty", "E[(‖∇D(x̂)‖ − 1)²]", [Line("", points(run.train, "penalty"))], None),
            ("Gradient norm at x̂", "wanted: 1", [Line("", points(run.train, "grad_norm"))], 1.0),
            ("Generator loss", "−E[D(x̃)]", [Line("", points(run.train, "generator_loss"))], None),
            ("Samples beside the data", "1: as varied, as sharp", beside, 1.0),
        )
    ]
    inside = "".join(charts)
    if not inside:
        return ""
    said = []
    if advised:
        said.append("Upright lines: where advice was given, or the data changed.")
    if run.best is not None:
        said.append("The line <b>best</b> is at the generator that export takes.")
    save = download(f"{run.name}-curves.csv", "text/csv", table_of(run), "Curves as CSV")
    return section("Curves", note(" ".join([*said, save])), f'<div class="charts">\n{inside}</div>\n')


def table_of(run: ReportData) -> bytes:
    """Every step that something was recorded at, as CSV; of a long run not every training record."""
    sizes, stride = _sizes(run), -(-len(run.train) // MOST_ROWS) or 1
    records = {"train": run.train[::stride], "validation": run.validation, "inception": run.inception}
    records["nearest"] = run.nearest
    rows: dict[float, dict[str, Any]] = {}
    for kind, keys in _COLUMNS:
        for record in records[kind]:
            values = rows.setdefault(record["step"], {})
            values |= {key: number(record.get(key)) for key in keys}
            if kind == "validation":
                values |= {f"swd_{size}": value for size, value in levels(record, "swd_levels").items()}
    names = [key for _, keys in _COLUMNS for key in keys] + [f"swd_{size}" for size in sizes]
    used = [name for name in names if any(values.get(name) is not None for values in rows.values())]
    heads = ["step", *("nearest_ratio" if name == "ratio" else name for name in used)]
    return sheet(heads, [[step, *(values.get(name) for name in used)] for step, values in sorted(rows.items())])


def _sizes(run: ReportData) -> list[int]:
    return sorted({size for record in run.validation for size in levels(record, "swd_levels")}, reverse=True)
