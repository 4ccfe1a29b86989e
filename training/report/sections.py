"""The sections of a report, each a string of HTML that is empty where the run has nothing for it."""

from typing import Any

from wgan.serve.base.progress import duration
from wgan.serve.page.curves import Line, chart
from wgan.serve.page.html import bars, count, figure, note, number, pairs, picture, row, section, table, text
from wgan.training.report.data import ReportData, Values, levels, mapping

STRIP = 60  # grids in the strip: about a megabyte
_SCORES = (  # heading, key of a record, scale
    ("FID", "fid", 1.0),
    ("Fréchet distance (no FID: other weights, or too few images)", "frechet_distance", 1.0),
    ("KID × 10³", "kid", 1e3),
    ("kernel distance × 10³", "kernel_distance", 1e3),
    ("Inception Score", "inception_score", 1.0),
    ("classifier score", "classifier_score", 1.0),
)
_FRECHET = "frechet_distance"
_PAD = 2  # pixels between the cells of a grid


def header(run: ReportData) -> str:
    """Title, one line about the run, and the figures to see first."""
    data = run.info.get("data") or run.config.get("data") or run.name
    seconds = max((number(record.get("seconds")) or 0.0 for record in run.train), default=0.0)
    images = number(run.info.get("images"))
    classes = run.info.get("classes")
    line = [
        run.info.get("preset") and f"preset {run.info['preset']}",
        f"step {run.step:,}",
        seconds and f"trained for {duration(seconds)}",
        run.info.get("device") and f"on {run.info['device']}",
        images and f"{images:,.0f} images",
        isinstance(classes, list) and f"{len(classes)} classes",
    ]
    facts = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>\n" for name, value in _facts(run))
    return (
        f'<header>\n<p class="over">WGAN-GP run · {text(run.name)}</p>\n<h1>{text(data)}</h1>\n'
        f'<p class="lead">{" · ".join(text(word) for word in line if word)}</p>\n'
        + (f'<dl class="facts">\n{facts}</dl>\n' if facts else "")
        + "</header>\n"
    )


def _facts(run: ReportData) -> list[tuple[str, str]]:
    facts = []
    distances = [distance for record in run.comparable if (distance := number(record.get("swd"))) is not None]
    if distances:
        change = f"{figure(distances[0])} → " if len(distances) > 1 else ""
        facts.append(("Sliced Wasserstein × 10³", f"{change}<b>{figure(distances[-1])}</b>"))
    since = -1 if run.data_changed is None else run.data_changed
    scored = [number(record.get("fid")) for record in run.inception if record["step"] > since]
    frechet = [value for value in scored if value is not None]
    if frechet:
        change = f"{figure(frechet[0])} → " if len(frechet) > 1 else ""
        facts.append(("FID", f"{change}<b>{figure(frechet[-1])}</b>"))
    passed = [mapping(artifact.get("parity")).get("passed") for artifact in run.artifacts]
    if passed:
        facts.append(("Artifacts equal to PyTorch", f"<b>{passed.count(True)}</b> of {len(passed)}"))
    speed = max((number(entry.get("images_per_second")) or 0.0 for entry in run.speeds), default=0.0)
    if speed:
        facts.append(("Fastest sampling", f"<b>{figure(speed)}</b> images/s"))
    weights = number(mapping(run.info.get("parameters")).get("generator"))
    if weights:
        facts.append(("Generator", f"<b>{figure(weights / 1e6)}</b> M weights"))
    return facts


def samples(run: ReportData) -> str:
    """The newest grid beside real images."""
    parts = []
    if run.samples:
        step, path = run.samples[-1]
        parts.append(picture(path, alt=f"Generated images at step {step}", caption=f"Generated, step {step:,}"))
    if run.real:
        parts.append(picture(run.real, alt="Images of the data set", caption="Real"))
    inside = "".join(parts)
    return section("Samples", f'<div class="pictures">\n{inside}</div>\n' if inside else "")


def history(run: ReportData) -> str:
    """How the same seeds have changed: a corner of every grid, or of sixty evenly spread."""
    last = len(run.samples) - 1
    if last < 1:
        return ""
    shown = min(STRIP, last + 1)
    chosen = [run.samples[round(i * last / (shown - 1))] for i in range(shown)]
    cell = number(run.config.get("image_size"))
    crop = int(_PAD + 4 * (cell + _PAD)) if cell else 10_000
    inside = "".join(picture(path, alt=f"Step {step}", caption=f"{step:,}", crop=crop) for step, path in chosen)
    if not inside:
        return ""
    said = note(f"{shown} of {last + 1} grids, evenly spread; all are in samples/.") if shown <= last else ""
    return section("The same seeds over training", said, f'<div class="scroll strip" tabindex="0">\n{inside}</div>\n')


def advice(run: ReportData) -> str:
    """What the run said of itself, and when."""
    lines = [
        row([f"step\u00a0{event['step']:,}", text(event["rule"]), text(event.get("message", ""))])
        for event in run.events
        if "rule" in event
    ]
    return section("Advice", table(["when", "rule", "what was seen, and what to try"], lines, words=3)) if lines else ""


def curves(run: ReportData) -> str:
    """The watched quantities during training, as curves."""

    def points(records: Any, key: str) -> list[tuple[float, float]]:
        pairs = ((record["step"], number(record.get(key))) for record in records)
        return [(float(step), value) for step, value in pairs if value is not None]

    sizes = sorted({size for record in run.validation for size in levels(record, "swd_levels")}, reverse=True)
    distances = [Line("mean", points(run.validation, "swd"))]
    for size_ in sizes:
        by_step = [(float(r["step"]), levels(r, "swd_levels").get(size_, float("nan"))) for r in run.validation]
        distances.append(Line(f"{size_} px", by_step))
    beside = [Line(name, points(run.validation, name)) for name in ("diversity", "sharpness")]
    marks = sorted({float(event["step"]) for event in run.events if "rule" in event or "data" in event})
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
    said = note("Upright lines: where advice was given, or the data changed.") if inside and marks else ""
    return section("Curves", said, f'<div class="charts">\n{inside}</div>\n' if inside else "")


def distance(run: ReportData) -> str:
    """Sliced Wasserstein distance at each level, untrained beside trained."""
    measured = [record for record in run.comparable if levels(record, "swd_levels")]
    if not measured:
        return ""
    first, last = measured[0], measured[-1]
    before, after = levels(first, "swd_levels"), levels(last, "swd_levels")
    floors = [floor for record in measured if (floor := levels(record, "floor_levels"))]
    floor = floors[-1] if floors else {}
    trained = len(measured) > 1

    def line(name: str, a: float | None, b: float | None, ground: float | None, kind: str = "") -> str:
        ratio = f"{a / b:.1f} ×" if a is not None and b else "–"
        figures = [figure(a), figure(b), f"<b>{ratio}</b>"] if trained else [figure(a)]
        return row([name], [*figures, *([figure(ground)] if floor else [])], kind=kind)

    rows = [line(f"{size_} × {size_}", before.get(size_), value, floor.get(size_)) for size_, value in after.items()]
    rows.append(line("mean", _mean(before), _mean(after), _mean(floor), "total"))
    untrained = "untrained" if first["step"] == 0 else f"step {first['step']:,}"
    heads = ["level, pixels", untrained, *([f"step {last['step']:,}", "closer by"] if trained else [])]
    explain = (
        "Sliced Wasserstein distance × 10³ between patches of generated and of real images, one level of the "
        "Laplacian pyramid a row: the coarsest sees layout and colour, the finest edges and noise."
    )
    if "swd_alpha" in last:
        explain += " Colours count as much as they are seen: pixels are premultiplied by their alpha."
    if floor:
        explain += " The floor is real images against other real images: no generator can be expected below it."
        heads.append("floor")
    return section("Distance to the real images", note(explain), table(heads, rows))


def inception(run: ReportData) -> str:
    """The newest feature distances, and the weights they were made with."""
    if not run.inception:
        return ""
    last = run.inception[-1]
    rows = []
    for name, key, scale in _SCORES:
        value, deviation = number(last.get(key)), number(last.get(f"{key}_std"))
        if value is not None:
            spread = "" if deviation is None else f" ± {figure(scale * deviation)}"
            rows.append(row([name], [f"<b>{figure(scale * value)}</b>{spread}"]))
    if not rows:
        return ""
    images, real, weights = (last.get(key) for key in ("images", "real_images", "inception_weights"))
    explain = (
        f"At step {count(last['step'])}: {count(images)} generated images against {count(real)} real ones, "
        f"features of Inception with the weights {str(weights)[:8]}…. Lower is closer for distances, higher is "
        "better for scores."
    )
    if "features_alpha" in last:
        explain += " Transparent images are laid on white, as Inception has no alpha."
    return section("By Inception features", note(text(explain)), table(["measure", "value"], rows))


def _mean(values: dict[int, float]) -> float | None:
    return sum(values.values()) / len(values) if values else None


def speed(run: ReportData) -> str:
    """Images a second of each backend."""
    rows = [(entry, rate) for entry in run.speeds if (rate := number(entry.get("images_per_second"))) is not None]
    rows.sort(key=lambda pair: -pair[1])
    return section(
        "Sampling speed", bars([(_setting(entry), rate, f"{figure(rate)} images/s") for entry, rate in rows])
    )


def _setting(entry: Values) -> str:
    words = [entry.get("precision"), entry.get("device"), entry.get("batch") and f"batch {entry['batch']}"]
    rest = " · ".join(text(word) for word in words if word)
    return f"{text(entry.get('backend', '–'))} <small>{rest}</small>"


def timings(run: ReportData) -> str:
    """Where the time went."""
    return section("Timings", bars([(text(name), seconds, duration(seconds)) for name, seconds in run.timings.items()]))


def configuration(run: ReportData) -> str:
    """Every setting, and what the run was made with."""
    made: list[tuple[str, Any]] = [
        (f"{name} parameters", count(total)) for name, total in mapping(run.info.get("parameters")).items()
    ]
    made += list(mapping(run.info.get("versions")).items())
    return section("Configuration", pairs(run.config.items())) + section("Made with", pairs(made))


def events(run: ReportData) -> str:
    """What happened on the way."""
    lines = [
        row([f"step\u00a0{event['step']:,}", text(event.get("message", ""))])
        for event in run.events
        if "rule" not in event
    ]
    return section("Notes", table(["when", "what"], lines, words=2) if lines else "")
