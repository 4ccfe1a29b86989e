"""A benchmark as a page: charts over the batch size, bars, and every figure in tables."""

from wgan.serve.base.privacy import without_paths
from wgan.serve.base.terminal import counted
from wgan.serve.bench.conditions import lines as conditions_told
from wgan.serve.bench.quality import GOOD, MARKS, quality
from wgan.serve.bench.side_by_side import Bench, Row, named
from wgan.serve.bench.text import of_another_precision, verdict
from wgan.serve.page.curves import Across, Line, chart
from wgan.serve.page.html import bars, download, figure, note, row, section, share, sheet, size, table, text
from wgan.serve.page.style import page

CHARTS = (  # title, unit, key of a row, whether the upright axis is logarithmic
    ("Throughput", "images/s", "images_per_second", False),
    ("Latency of a batch, p50", "ms, logarithmic", "p50_ms", True),
    ("Latency of a batch, p95", "ms, logarithmic", "p95_ms", True),
    ("Share of the matrix product's peak", "1: all of it", "share_of_peak", False),
)
ACROSS = Across("images in a batch", doubling=True)
COLUMNS = (  # of the table to save
    "file", "variant", "backend", "precision", "device", "batch", "p50_ms", "p95_ms", "images_per_second",
    "uint8_images_per_second", "quality", "repeats", "spread", "load_others", "steal", "load_seconds",
    "first_image_seconds", "peak_memory", "device_memory", "share_of_peak",
)  # fmt: skip


def render(bench: Bench) -> str:
    """The whole page."""
    files = bench.by_subject()
    facts = [
        *_fastest(bench),
        *(
            (f"Matrix product, {text(name)}", f"<b>{figure(peak / 1e9)}</b> GFLOP/s{_slowed(bench, name)}")
            for name, peak in _known(bench)
        ),
    ]
    shown = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>\n" for name, value in facts)
    machine = bench.machine
    told = text("; ".join(conditions_told(bench.conditions(), machine["threads"])))
    body = (
        f'<header>\n<p class="over">WGAN-GP benchmark</p>\n<h1>{text(machine["name"])}</h1>\n'
        f'<p class="lead">{text(counted(machine["threads"], "thread"))} · {text(machine["when"])}<br>{told}</p>\n'
        f'<dl class="facts">\n{shown}</dl>\n</header>\n',
        _charts(files),
        _bars("Cold start: from the process's start to the first image", files, "first_image_seconds", " s"),
        _artifacts(files),
        _cases(bench),
    )
    return page("WGAN-GP benchmark", "".join(body))


def _known(bench: Bench) -> list[tuple[str, float]]:
    return [(name, peak) for name, peak in bench.peaks.items() if peak]


def _fastest(bench: Bench) -> list[tuple[str, str]]:
    """The highest rate that could be measured, and what was run at which batch; the machine is the page's title."""
    measured = [row for row in bench.best().values() if row]
    if not measured:
        return []
    best = max(measured, key=lambda row: float(row["images_per_second"]))
    where = f"{named(best)} · {best['backend']} · {best['precision']} · batch {best['batch']} · {best['device']}"
    rate = f"<b>{figure(best['images_per_second'])}</b> images/s{_doubt(best)}<small>{text(where)}</small>"
    return [("Fastest", rate)]


def _doubt(row: Row) -> str:
    """A row's quality where it is not good, in bold."""
    return "" if (found := quality(row)) == GOOD else f" <b>{text(found)}</b>"


def _slowed(bench: Bench, peak: str) -> str:
    return " <b>loaded</b>" * (peak in bench.doubtful_peaks)


def _measured(rows: list[Row]) -> list[Row]:
    return [row for row in rows if "error" not in row]


def _charts(files: dict[str, list[Row]]) -> str:
    charts = []
    for title, unit, key, logarithmic in CHARTS:
        lines = [
            Line(named(rows[0]), [(case["batch"], case[key]) for case in _measured(rows) if case[key] is not None])
            for rows in files.values()
        ]
        charts.append(chart(title, unit, lines, across=ACROSS, logarithmic=logarithmic))
    inside = "".join(charts)
    return section("Over the batch size", f'<div class="charts">\n{inside}</div>\n' if inside else "")


def _bars(title: str, files: dict[str, list[Row]], key: str, unit: str) -> str:
    entries = []
    for rows in files.values():
        values = [float(case[key]) for case in _measured(rows)]
        if values:
            least = min(values)
            entries.append((text(named(rows[0])), least, figure(least) + unit))
    return section(title, bars(entries))


def _artifacts(files: dict[str, list[Row]]) -> str:
    lines = []
    for rows in files.values():
        first, measured = rows[0], _measured(rows)
        load = figure(min(case["load_seconds"] for case in measured)) if measured else "–"
        device = measured[0]["device"] if measured else "–"
        told = verdict((measured or rows)[0])
        words = list(map(text, (named(first), first["backend"], first["precision"], device, told)))
        lines.append(row(words, [size(first.get("bytes")), load]))
    heads = ("file", "backend", "precision", "device", "parity with PyTorch", "size", "load, s")
    return section("Artifacts", table(heads, lines, words=5))


def _cases(bench: Bench) -> str:
    lines = []
    for case in bench.rows:
        words = [text(named(case))]
        if "error" in case:
            lines.append(f'<tr><td>{words[0]}</td><td class="n">{case["batch"]}</td>')
            lines.append(
                f'<td colspan="9" class="reason">{text(without_paths(case["error"], case["path"]))}</td></tr>\n'
            )
            continue
        figures = [case["p50_ms"], case["p95_ms"], case["images_per_second"], case["uint8_images_per_second"]]
        noise = f"{case['spread']:.0%}{_doubt(case)}"
        lines.append(
            row(
                words,
                [
                    str(case["batch"]),
                    *map(figure, figures),
                    noise,
                    _others(case),
                    size(case["peak_memory"]),
                    size(case.get("device_memory")),
                    _share(case),
                ],
            )
        )
    found = {quality(case) for case in _measured(list(bench.rows))}
    heads = (
        "file",
        "batch",
        "p50, ms",
        "p95, ms",
        "images/s",
        "from seeds to 8 bits",
        "spread",
        "others, cores",
        "peak memory",
        "on the GPU",
        "of peak",
    )
    explain = (
        "Pure generation: latents in, float images out; and the way of <code>wgan sample</code> "
        "but for its files. The spread is how far the middle half of the batches lies apart, as a share of p50; beside "
        "it is how many cores other work kept busy. What could not be measured well was measured again later, "
        "and the attempt with the least other work is shown, never a mixture. Each row is a process of its own; its "
        "peak of memory is the whole process's. The last column is what the networks' convolutions and matrix products "
        "come to, as a share of one large matrix product on the same device in the same precision, by numpy for "
        "float32 on a CPU and by torch for all else; where another precision is named the share is of that: ONNX "
        "Runtime computes half precision in float32 on a CPU, and without torch there is no other product to measure. "
        "Memory on the GPU is by how much what is in use there grew, whoever uses it."
    )
    doubts = [f"{text(name)}: {text(meaning)}" for name, (_, meaning) in MARKS.items() if name in found]
    save = download("bench.csv", "text/csv", _sheet(bench), "All of it as CSV")
    told = note(". ".join(doubts)) if doubts else ""
    return section("Every figure", note(f"{explain} {save}"), told, table(heads, lines))


def _sheet(bench: Bench) -> bytes:
    return sheet(COLUMNS, [[case.get(name) for name in COLUMNS] for case in _measured(list(bench.rows))])


def _others(case: Row) -> str:
    known = case.get("load_others")
    return "–" if known is None else f"{known:.1f}"


def _share(case: Row) -> str:
    shown = share(case["share_of_peak"])
    other = case["share_of_peak"] is not None and of_another_precision(case)
    return f"{shown} <small>of {text(case['peak'])}</small>" if other else shown
