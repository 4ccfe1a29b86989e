"""The head of a report: what the run is, which generator is shipped, and the figures to see first."""

from collections.abc import Sequence

from wgan.serve.artifacts.origin import Origin
from wgan.serve.base.progress import duration
from wgan.serve.base.terminal import counted
from wgan.serve.page.html import figure, number, text
from wgan.training.report.data import ReportData, Values, mapping


def header(run: ReportData) -> str:
    """Title, a line about the run, which generators it speaks of, and the figures."""
    data = run.info.get("data") or run.config.get("data") or run.name
    facts = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>\n" for name, value in _facts(run))
    return (
        f'<header>\n<p class="over">WGAN-GP run · {text(run.name)}</p>\n<h1>{text(data)}</h1>\n'
        f'<p class="lead">{text(about(run))}</p>\n'
        + _which(run)
        + (f'<dl class="facts">\n{facts}</dl>\n' if facts else "")
        + "</header>\n"
    )


def about(run: ReportData) -> str:
    """A run in a line: preset, steps, time, device, images, classes."""
    images = number(run.info.get("images"))
    classes = run.info.get("classes")
    seconds = trained_for(run)
    line = [
        run.info.get("preset") and f"preset {run.info['preset']}",
        f"step {run.step:,}",
        seconds and f"trained for {duration(seconds)}",
        run.info.get("device") and f"on {run.info['device']}",
        images and counted(int(images), "image"),
        isinstance(classes, list) and counted(len(classes), "class", "classes"),
    ]
    return " · ".join(str(word) for word in line if word)


def trained_for(run: ReportData) -> float:
    """Seconds of training alone."""
    return max((number(record.get("seconds")) or 0.0 for record in run.train), default=0.0)


def distance_at(run: ReportData, origin: Origin | None) -> float | None:
    """The distance that was measured of a generator."""
    if origin is None:
        return None
    found = [number(record.get("swd")) for record in run.comparable if record["step"] == origin.step]
    return next((value for value in reversed(found) if value is not None), origin.scores.get("swd"))


def _which(run: ReportData) -> str:
    if run.shipped is None:
        return ""
    said = f"Shown first is what <code>wgan export</code> ships: <b>{text(run.shipped)}</b>."
    if run.apart:
        said += f" Beside it: {text(run.last)}."
    return f'<p class="lead">{said}</p>\n'


def _facts(run: ReportData) -> list[tuple[str, str]]:
    facts = []
    distances = [value for record in run.comparable if (value := number(record.get("swd"))) is not None]
    shipped = distance_at(run, run.shipped)
    if shipped is not None:
        change = f"{figure(distances[0])} → " if len(distances) > 1 else ""
        facts.append(("Sliced Wasserstein × 10³", f"{change}<b>{figure(shipped)}</b>{_of(run.shipped)}"))
        if run.apart and (last := distance_at(run, run.last)) is not None:
            facts.append(("the same, last", f"{figure(last)}{_of(run.last)}"))
    facts += _scores(run)
    passed = [mapping(artifact.get("parity")).get("passed") for artifact in run.artifacts]
    if passed:
        facts.append(("Artifacts against PyTorch", verdicts(passed)))
    if run.speeds:
        fastest = max(run.speeds, key=lambda entry: number(entry.get("images_per_second")) or 0.0)
        if rate := number(fastest.get("images_per_second")):
            facts.append(
                ("Fastest sampling", f"<b>{figure(rate)}</b> images/s<small>{text(conditions(fastest))}</small>")
            )
    weights = number(mapping(run.info.get("parameters")).get("generator"))
    if weights:
        facts.append(("Generator", f"<b>{figure(weights / 1e6)}</b> M weights"))
    return facts


def _scores(run: ReportData) -> list[tuple[str, str]]:
    """FID of the generator that is shipped, or the newest that was measured."""
    since = -1 if run.data_changed is None else run.data_changed
    scored = [
        (int(record["step"]), value)
        for record in run.inception
        if record["step"] > since and (value := number(record.get("fid"))) is not None
    ]
    if not scored:
        return []
    step, value = scored[-1]
    for at, found in scored:
        if run.shipped is not None and at == run.shipped.step:
            step, value = at, found
    change = f"{figure(scored[0][1])} → " if scored[0][0] < step else ""
    return [("FID", f"{change}<b>{figure(value)}</b><small>step {step:,}</small>")]


def verdicts(passed: Sequence[object]) -> str:
    """How many artifacts are equal, differ, and were not measured: what could not be measured is no failure."""
    equal, unknown = passed.count(True), passed.count(None)
    words = [f"<b>{equal}</b> equal"] if equal else []
    if differ := len(passed) - equal - unknown:
        words.append(f'<span class="bad">{differ} differ{"s" if differ == 1 else ""}</span>')
    if unknown:
        words.append(f"{unknown} not measured")
    return ", ".join(words)


def conditions(entry: Values) -> str:
    """What a figure of speed was measured with: backend, precision, batch, machine."""
    batch, machine = entry.get("batch"), entry.get("machine") or entry.get("device")
    words = (entry.get("backend"), entry.get("precision"), batch and f"batch {batch}", machine and f"on {machine}")
    return " · ".join(str(word) for word in words if word)


def _of(origin: Origin | None) -> str:
    return (
        ""
        if origin is None
        else f"<small>{text(f'{origin.which}, ' if origin.which else '')}step {origin.step:,}</small>"
    )
