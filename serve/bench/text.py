"""A benchmark as text for a terminal."""

import textwrap
from pathlib import Path

from wgan.serve.artifacts.formats import is_checkpoint
from wgan.serve.base.fold import terminal_width
from wgan.serve.base.tables import table
from wgan.serve.base.terminal import counted
from wgan.serve.bench.conditions import lines as conditions_told
from wgan.serve.bench.quality import MARKS, legend, mark
from wgan.serve.bench.side_by_side import Bench, Row, named

MISSING = "-"


def to_text(bench: Bench) -> str:
    """The machine, a row an artifact, a row a batch size, and the reasons of what could not be measured."""
    files = bench.by_subject()
    names = _names(list(files))
    slowed = dict.fromkeys(bench.doubtful_peaks, MARKS["loaded"][0])
    known = (f"{name} {slowed.get(name, '')}{peak / 1e9:,.0f}" for name, peak in bench.peaks.items() if peak)
    threads = counted(bench.machine["threads"], "thread")
    machine = f"{bench.machine['name']}, {threads}; matrix product, GFLOP/s: {', '.join(known) or 'not measured'}"
    head = [machine, *conditions_told(bench.conditions(), bench.machine["threads"])]
    notes, starred = [], set()
    for row in bench.rows:
        if "error" not in row and row["share_of_peak"] is not None and of_another_precision(row):
            starred.add(row["peak"])
    notes += [line for path, rows in files.items() for line in _errors(names[path], rows)]
    notes += legend(bench.rows, slowed_peak=bool(slowed))
    notes += [f"* of {name}'s matrix product" for name in sorted(starred)]
    width = terminal_width()
    begin = "\n".join(textwrap.fill(line, width) for line in head)
    return "\n\n".join([begin, _of_artifacts(files, names), _of_batches(bench, names)]) + "".join(
        f"\n{note}" for note in notes
    )


def _errors(name: str, rows: list[Row]) -> list[str]:
    """Why rows of one file were not measured: a line a reason, with the batches where it is not that of all."""
    batches: dict[str, list[str]] = {}
    for row in rows:
        if "error" in row:
            batches.setdefault(row["error"], []).append(str(row["batch"]))
    return [
        f"{name}{'' if len(of) == len(rows) else ', batch ' + ', '.join(of)}: {error}" for error, of in batches.items()
    ]


def _of_artifacts(files: dict[str, list[Row]], names: dict[str, str]) -> str:
    """Size, seconds to load and to the first image, and parity."""
    rows = []
    for path, own in files.items():
        measured = [row for row in own if "error" not in row]
        load, first = (_least(measured, key) for key in ("load_seconds", "first_image_seconds"))
        size = f"{own[0]['bytes'] / 2**20:.1f}" if "bytes" in own[0] else MISSING
        rows.append((names[path], size, load, first, verdict((measured or own)[0])))
    head = ("artifact", "MiB", "load s", "first image s", "parity")
    return table(head, rows, right=head[1:4], verdict="parity")


def _of_batches(bench: Bench, names: dict[str, str]) -> str:
    """Latency and speed at each batch size; the GPU's memory has a column where there is a GPU."""
    on_gpu = any(row.get("device_memory") is not None for row in bench.rows)
    head = ("artifact", "batch", "p50 ms", "p95 ms", "images/s", "MiB", "of peak", *(["GPU MiB"] if on_gpu else []))
    rows = []
    for row in bench.rows:
        begin = (names[named(row, "path")], str(row["batch"]))
        if "error" in row:
            rows.append((*begin, *[MISSING] * (len(head) - 2)))
            continue
        share = MISSING if row["share_of_peak"] is None else f"{row['share_of_peak']:.0%}"
        other = row["share_of_peak"] is not None and of_another_precision(row)
        rows.append(
            (
                *begin,
                f"{row['p50_ms']:.2f}",
                f"{row['p95_ms']:.2f}",
                f"{mark(row)}{row['images_per_second']:,.0f}",
                _mib(row["peak_memory"]),
                share + "*" * other,
                *([_mib(row.get("device_memory"))] if on_gpu else []),
            )
        )
    return table(head, rows, right=head[1:])


def verdict(row: Row) -> str:
    """What an artifact's parity with PyTorch is, in a word."""
    if is_checkpoint(Path(row["path"])) and row["precision"] == "fp32":
        return "the reference"
    report = row.get("parity")
    if not report or report["passed"] is None:
        return "not measured"
    error = f" ({report['max_abs']:.1e} on {report['device']})" if report["max_abs"] is not None else ""
    return ("holds" if report["passed"] else "DOES NOT HOLD") + error


def of_another_precision(row: Row) -> bool:
    """Whether a row is compared with the matrix product of another precision than its own."""
    name, precision = str(row["peak"]), str(row["precision"])
    return name.split()[-1] != precision


def _mib(size: int | None) -> str:
    return MISSING if size is None else f"{size / 2**20:,.0f}"


def _names(paths: list[str]) -> dict[str, str]:
    """File names, with their folders where two are alike."""
    short = {path: path.replace("\\", "/").rpartition("/")[2] for path in paths}
    taken = list(short.values())
    return {path: path if taken.count(name) > 1 else name for path, name in short.items()}


def _least(rows: list[Row], key: str) -> str:
    return f"{min(row[key] for row in rows):.2f}" if rows else MISSING
