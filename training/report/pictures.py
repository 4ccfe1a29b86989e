"""The pictures of a report: what is shipped beside real images, by class, over the steps, between seeds, nearest."""

from collections.abc import Sequence
from pathlib import Path

from wgan.serve.artifacts.origin import Origin
from wgan.serve.page.html import count, figure, note, number, row, section, table, text
from wgan.serve.page.pictures import cut, frame, frame_of, picture, width_of
from wgan.training.report.data import ReportData, Values

STRIP = 60  # grids in the strip, or as many as make `STRIP_BYTES`
STRIP_BYTES = 2_400_000
FEWEST = 12
MOST_CLASSES = 16  # with a row
OF_A_CLASS = 6  # images beside each other
_PAD = 2  # pixels between the cells of a grid
_GRID = 64  # cells
LARGEST_CELL = 1024  # pixels: no generator of ours makes larger images
_SMALL = 32  # pixels: cells of up to this size stay exact


def samples(run: ReportData) -> str:
    """The grid of what is shipped beside real images, and the last one's where that is another."""
    parts = []
    found = shipped_grid(run)
    if found is not None:
        step, path = found
        name = f"{run.name}-step-{step}.png"
        parts.append(picture(path, alt=f"Generated images at step {step}", caption=_caption(run, step), name=name))
    if run.real:
        parts.append(picture(run.real, alt="Images of the data set", caption="Real", name=f"{run.name}-real.png"))
    if found is not None and run.apart and run.last is not None:
        after = grid_at(run, run.last.step)
        if after is not None:
            step = run.last.step
            alt, name = f"Generated images at step {step}", f"{run.name}-step-{step}.png"
            parts.append(picture(after, alt=alt, caption=f"Generated: {run.last}; not shipped", name=name))
    inside = "".join(parts)
    return (
        section("Samples", _by_columns(run), f'<div class="pictures">\n{inside}</div>\n' if inside else "")
        if inside
        else ""
    )


def shipped_grid(run: ReportData) -> tuple[int, Path] | None:
    """The grid of the generator that is shipped; the newest one where there is none of it."""
    if run.shipped is not None and (path := grid_at(run, run.shipped.step)):
        return run.shipped.step, path
    return run.samples[-1] if run.samples else None


def grid_at(run: ReportData, step: int) -> Path | None:
    """The grid of a step."""
    return dict(run.samples).get(step)


def _caption(run: ReportData, step: int) -> str:
    if run.shipped is None or run.shipped.step != step:
        return f"Generated, step {step:,}"
    return f"Generated: {run.shipped}"


def _by_columns(run: ReportData) -> str:
    """Which classes the cells are of."""
    names = run.classes
    if not names or not _aligned(run):
        return ""
    across = _columns(run, shipped_grid(run))
    shown = ", ".join(text(name) for name in names[:MOST_CLASSES])
    more = f" and {len(names) - MOST_CLASSES} more" if len(names) > MOST_CLASSES else ""
    if across % len(names) == 0:
        again = ", and so again" if across > len(names) else ""
        return note(f"Each column is a class, generated and real alike; from the left: {shown}{again}.")
    return note(f"The cells of both grids count through the classes in reading order: {shown}{more}.")


def _aligned(run: ReportData) -> bool:
    """Whether cell i of both grids is of class i mod K; in a run of an earlier version real images lie as they come."""
    return bool(run.classes) and "class_images" in run.info


def _cell(run: ReportData) -> int:
    """Pixels of a cell's side; 0 where the settings name none that can be."""
    side = number(run.config.get("image_size")) or 0.0
    return int(side) if 1 <= side <= LARGEST_CELL else 0


def _columns(run: ReportData, grid: tuple[int, Path] | None) -> int:
    """Of a grid, by its width: those of a run that another version began may differ."""
    cell, width = _cell(run), None if grid is None else width_of(grid[1])
    return 8 if width is None or not cell else max(1, (width - _PAD) // (cell + _PAD))


def classes(run: ReportData) -> str:
    """A row a class: its name, how many real images it has, real and generated ones."""
    found, cell = shipped_grid(run), _cell(run)
    if not _aligned(run) or found is None or run.real is None or not cell:
        return ""
    sizes = run.info.get("class_images")
    grids = (("Real", run.real, _columns(run, (0, run.real))), ("Generated", found[1], _columns(run, found)))
    rows = []
    for i, name in enumerate(run.classes[: min(MOST_CLASSES, _GRID)]):
        cells = range(i, _GRID, len(run.classes))[:OF_A_CLASS]
        known = number(sizes[i]) if isinstance(sizes, list) and i < len(sizes) else None
        real = cells if known is None else cells[: max(0, int(known))]  # white where the class has no more
        pictures = [
            _cut(path, real if kind == "Real" else cells, across, cell, f"{kind} images of class {name}")
            for kind, path, across in grids
        ]
        rows.append(row([f"<b>{text(name)}</b>", count(known), *pictures], kind="class"))
    said = _caption(run, found[0])
    if len(run.classes) > len(rows):
        said += f". {len(rows)} of {len(run.classes)} classes are shown; the grids above hold the first {_GRID}"
    return section(
        "Class by class", note(text(said) + "."), table(("class", "real images", "real", "generated"), rows, words=4)
    )


def _cut(path: Path, cells: Sequence[int], across: int, cell: int, alt: str) -> str:
    if not cells:
        return "–"
    corners = [(_PAD + i % across * (cell + _PAD), _PAD + i // across * (cell + _PAD)) for i in cells]
    boxes = [(x, y, x + cell, y + cell) for x, y in corners]
    return cut(path, boxes, alt, exact=cell <= _SMALL) or "–"


def history(run: ReportData) -> str:
    """How the same seeds have changed: every grid, or some evenly spread and the best among them."""
    last = len(run.samples) - 1
    if last < 1:
        return ""
    shown = min(_room(run), last + 1)
    best = None if run.best is None else run.best.step
    chosen = {round(i * last / (shown - 1)) for i in range(shown)}
    chosen |= {i for i, (step, _) in enumerate(run.samples) if step == best}
    inside = "".join(
        frame(
            run.samples[i][1],
            alt=f"Generated images at step {run.samples[i][0]}",
            caption=f"{run.samples[i][0]:,}" + " · best" * (run.samples[i][0] == best),
            share=_corner(run, run.samples[i]),
            kind="best" * (run.samples[i][0] == best),
        )
        for i in sorted(chosen)
    )
    if not inside:
        return ""
    said = (
        note(f"{len(chosen)} of {last + 1} grids, evenly spread; all are in samples/.") if len(chosen) <= last else ""
    )
    named = 'role="group" aria-label="Grids over the steps"'
    strip = f'<div class="scroll strip" data-slider tabindex="0" {named}>\n{inside}</div>\n'
    return section("The same seeds over training", said, strip)


def _corner(run: ReportData, grid: tuple[int, Path]) -> float:
    """The share of a grid's width that four cells take."""
    cell = _cell(run)
    return (4 * (cell + _PAD) + _PAD) / (_columns(run, grid) * (cell + _PAD) + _PAD) if cell else 1.0


def _room(run: ReportData) -> int:
    """How many grids fit into the page."""
    newest = frame_of(run.samples[-1][1])
    return STRIP if newest is None else max(FEWEST, min(STRIP, STRIP_BYTES // len(newest.content)))


def interpolation(run: ReportData) -> str:
    """Ways between seeds."""
    found = _of_shipped(run.interpolations, run.shipped)
    if found is None:
        return ""
    step, path = found
    alt = f"Ways between seeds at step {step}"
    explain = note(
        "Each row is a way from one seed to the next, spherical as that of <code>wgan sample --interpolate 0 1</code>: "
        "smooth changes say that the space between the seeds is filled, jumps that single images were learnt."
    )
    shown = picture(path, alt=alt, caption=_caption(run, step), name=f"{run.name}-interpolation-{step}.png")
    return section("Between seeds", explain, f'<div class="pictures">{shown}</div>\n') if shown else ""


def nearest(run: ReportData) -> str:
    """Does it copy the data? Generated images over the real ones nearest to them, and how near those are."""
    found = _of_shipped(run.neighbours, run.shipped)
    records = {int(record["step"]): record for record in run.nearest}
    if found is None and not records:
        return ""
    step = found[0] if found is not None else max(records)
    record = records.get(step, {})
    shown = ""
    if found is not None:
        alt = f"Generated images at step {step} over the nearest training images"
        shown = picture(found[1], alt=alt, caption=_caption(run, step), name=f"{run.name}-nearest-{step}.png")
    parts = [note(_nearness(record)) if record else "", f'<div class="pictures">{shown}</div>\n' if shown else ""]
    pairs = record.get("shown")
    if shown and isinstance(pairs, list) and all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        told = ", ".join(f"seed {count(seed)}: {figure(distance)}" for seed, distance in pairs)
        parts.append(
            note(
                "Upper row: the generated images that are nearest to the data; below each its three nearest training "
                f"images. Distances to the first, from the left: {told}."
            )
        )
    return section("Does it copy the data?", *parts)


def _nearness(record: Values) -> str:
    distance, real, ratio = (number(record.get(key)) for key in ("distance", "real_distance", "ratio"))
    said = ""
    if ratio is not None:
        said = (
            f"Samples are <b>{figure(ratio)} times</b> as far from their nearest training image as real images are "
            f"from the nearest other one ({figure(distance)} against {figure(real)}, medians). Near 0 would be copies; "
            "what is blurred comes nearer to everything, so look at the pictures too. "
        )
    elif distance is not None:
        said = f"Samples are {figure(distance)} from their nearest training image (median); 0 would be a copy. "
    return said + (
        f"Measured at {count(record.get('samples'))} samples against {count(record.get('images'))} training images, "
        "as the root mean square difference of 8-bit values of images that were shrunk to at most 32 × 32 pixels. "
        f"The nearest of all is {figure(record.get('closest'))} away."
    )


def _of_shipped(pictures: Sequence[tuple[int, Path]], shipped: Origin | None) -> tuple[int, Path] | None:
    if shipped is not None and shipped.step in dict(pictures):
        return shipped.step, dict(pictures)[shipped.step]
    return pictures[-1] if pictures else None
