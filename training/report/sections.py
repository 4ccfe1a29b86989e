"""The sections of a report, each a string of HTML that is empty where the run has nothing for it."""

from typing import Any

from wgan.serve.base.progress import duration
from wgan.serve.page.html import bars, count, figure, note, number, pairs, row, section, table, text
from wgan.training.report.data import ReportData, Values, levels, mapping

_SCORES = (  # heading, key of a record, scale
    ("FID", "fid", 1.0),
    ("Fréchet distance (no FID: other weights, or too few images)", "frechet_distance", 1.0),
    ("KID × 10³", "kid", 1e3),
    ("kernel distance × 10³", "kernel_distance", 1e3),
    ("Inception Score", "inception_score", 1.0),
    ("classifier score", "classifier_score", 1.0),
)


def advice(run: ReportData) -> str:
    """What the run said of itself, and when."""
    lines = [
        row([f"step\u00a0{event['step']:,}", text(event["rule"]), text(event.get("message", ""))])
        for event in run.events
        if "rule" in event
    ]
    return section("Advice", table(["when", "rule", "what was seen, and what to try"], lines, words=3)) if lines else ""


def distance(run: ReportData) -> str:
    """Sliced Wasserstein distance at each level, untrained beside trained."""
    measured = [record for record in run.comparable if levels(record, "swd_levels")]
    if not measured:
        return ""
    first, last = measured[0], measured[-1]
    if run.shipped is not None:
        last = next((record for record in reversed(measured) if record["step"] == run.shipped.step), last)
    before, after = levels(first, "swd_levels"), levels(last, "swd_levels")
    floors = [floor for record in measured if (floor := levels(record, "floor_levels"))]
    floor = floors[-1] if floors else {}
    trained = last is not first

    def line(name: str, a: float | None, b: float | None, ground: float | None, kind: str = "") -> str:
        ratio = f"{a / b:.1f} ×" if a is not None and b else "–"
        figures = [figure(a), figure(b), f"<b>{ratio}</b>"] if trained else [figure(a)]
        return row([name], [*figures, *([figure(ground)] if floor else [])], kind=kind)

    rows = [line(f"{size_} × {size_}", before.get(size_), value, floor.get(size_)) for size_, value in after.items()]
    rows.append(line("mean", _mean(before), _mean(after), _mean(floor), "total"))
    untrained = "untrained" if first["step"] == 0 else f"step {first['step']:,}"
    heads = [
        "level, pixels",
        untrained,
        *([f"{_which(run, last['step'])}step {last['step']:,}", "closer by"] if trained else []),
    ]
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


def _which(run: ReportData, step: int) -> str:
    """`best, ` where the generator of a step is the run's best and not its last."""
    return "best, " if run.apart and run.best is not None and run.best.step == step else ""


def inception(run: ReportData) -> str:
    """The feature distances of what is shipped, or the newest, and the weights they were made with."""
    if not run.inception:
        return ""
    last = run.inception[-1]
    if run.shipped is not None:
        last = next((record for record in reversed(run.inception) if record["step"] == run.shipped.step), last)
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
    rest = " · ".join(text(word) for word in (*words, entry.get("machine")) if word)
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
