"""A benchmark as text for a terminal of 80 columns."""

from wgan.serve.bench.conditions import lines as conditions_told
from wgan.serve.bench.quality import MARKS, legend, mark
from wgan.serve.bench.side_by_side import Bench, Row, named

MISSING = "-"


def to_text(bench: Bench) -> str:
    """The machine, a row an artifact, a row a batch size, and the reasons of what could not be measured."""
    files = bench.by_subject()
    names = _names(list(files))
    width = max(map(len, names.values()))
    slowed = dict.fromkeys(bench.doubtful_peaks, MARKS["loaded"][0])
    known = (f"{name} {slowed.get(name, '')}{peak / 1e9:,.0f}" for name, peak in bench.peaks.items() if peak)
    peaks = ", ".join(known) or "not measured"
    lines = [
        f"{bench.machine['name']}, {bench.machine['threads']} threads; matrix product, GFLOP/s: {peaks}",
        *conditions_told(bench.conditions(), bench.machine["threads"]),
        "",
        f"{'artifact':{width}}  {'MiB':>7}  {'load s':>7}  {'first image s':>13}  parity",
    ]
    for path, rows in files.items():
        measured = [row for row in rows if "error" not in row]
        load, first = (_least(measured, key) for key in ("load_seconds", "first_image_seconds"))
        size = f"{rows[0]['bytes'] / 2**20:.1f}" if "bytes" in rows[0] else MISSING
        lines.append(f"{names[path]:{width}}  {size:>7}  {load:>7}  {first:>13}  {verdict((measured or rows)[0])}")
    # the GPU's memory has a column where there is a GPU
    on_gpu = any(row.get("device_memory") is not None for row in bench.rows)
    heads = f"{'batch':>5}  {'p50 ms':>8}  {'p95 ms':>8}  {'images/s':>9}  {'MiB':>6}  {'of peak':>7}"
    heads += f"  {'GPU MiB':>7}" if on_gpu else ""
    lines += ["", f"{'artifact':{width}}  {heads}"]
    starred: set[str] = set()
    for row in bench.rows:
        begin = f"{names[named(row, 'path')]:{width}}  {row['batch']:>5}"
        if "error" in row:
            lines.append(f"{begin}  {row['error']}")
            continue
        rate = f"{mark(row)}{row['images_per_second']:,.0f}"
        share = MISSING if row["share_of_peak"] is None else f"{row['share_of_peak']:.0%}"
        other = row["share_of_peak"] is not None and of_another_precision(row)
        starred |= {row["peak"]} if other else set()
        lines.append(
            f"{begin}  {row['p50_ms']:>8.2f}  {row['p95_ms']:>8.2f}  {rate:>9}  "
            f"{_mib(row['peak_memory']):>6}  {share + '*' * other:>7}"
            + (f"  {_mib(row.get('device_memory')):>7}" if on_gpu else "")
        )
    lines += legend(bench.rows, slowed_peak=bool(slowed))
    lines += [f"* of {name}'s matrix product" for name in sorted(starred)]
    return "\n".join(lines)


def verdict(row: Row) -> str:
    """What an artifact's parity with PyTorch is, in a word."""
    if row["backend"] == "torch" and row["precision"] == "fp32":
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
