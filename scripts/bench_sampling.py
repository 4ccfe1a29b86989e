"""Sampling measured whole and in parts: `python scripts/bench_sampling.py [--export runs/x/export]`.

Pure generation on each backend and precision; `wgan sample` as a process with its files written, beside generation,
encoding and writing each alone; cold starts; and the peak of memory at rising numbers of images. Without --export it
measures an untrained generator of the document's size, whose noisy images compress worse than a trained one's. A figure
is the median of its rounds (of pure generation: of its batches), and none where they lie too far apart.
Stdout is tables and, as its last line, one JSON object.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from bench_shared import (
    TOO_NOISY,
    Figure,
    Row,
    cell,
    machine,
    measured,
    reasons,
    run,
    say,
    shown,
    table,
    too_noisy,
    wgan,
    whole,
    wholes,
)

from wgan.models import open_model
from wgan.serve.artifacts import artifact
from wgan.serve.artifacts.formats import backends_of
from wgan.serve.backends.base import Backend, check_device
from wgan.serve.base.errors import ConfigError, WganError
from wgan.serve.base.progress import counter
from wgan.serve.bench.peak import Peaks
from wgan.serve.bench.quality import PLAIN, doubtful, quality
from wgan.serve.bench.side_by_side import Plan, Subject, describe, measure, share_of_peak
from wgan.serve.bench.speed import measure_speed
from wgan.serve.machine.cores import usable_cores
from wgan.serve.outputs.open import open_output
from wgan.serve.outputs.pixels import Pixels, encode_png, to_uint8
from wgan.serve.sampling.sampler import batch_size_for, sample

MODULE = "wgan.commands.bench"
REPEATS = 2  # at most, of a row that could not be measured well
OUTPUTS = {"PNG folder": "images", "npy": "images.npy", "tar": "images.tar"}


def untrained(folder: Path, **changes: object) -> list[tuple[Path, str]]:
    """Exports a generator that was not trained, in every format and precision that can be built here."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.make import make_generator
    from wgan.export import exporter
    from wgan.export.recipe import ALL, file_name

    generator = make_generator(**changes)
    for precision in ("fp32", "fp16"):
        for kind in ALL:
            try:
                list(exporter.export(generator, folder, [kind], precision=precision))
            except WganError as error:
                say(f"bench_sampling: no {file_name(kind, precision)}: {error}")
    return artifacts(folder)


def artifacts(folder: Path) -> list[tuple[Path, str]]:
    """The files of an export folder and their backends. Raises ConfigError where there is none."""
    files = [(path, backends_of(artifact.format_of(path))[0].name) for path in artifact.list_folder(folder)]
    if (reference := folder / "generator.pt").is_file():
        files.append((reference, "torch"))
    if not files:
        raise ConfigError(f"no artifact in {folder}: run `wgan export` first")
    return files


def generation(
    files: list[tuple[Path, str]], batches: list[int], device: str, seconds: float
) -> tuple[list[Row], dict[str, float | None]]:
    """Rows of `wgan bench`, and the peaks that their shares are of."""
    peaks, plan = Peaks(MODULE), Plan([Subject(*file) for file in files], batches, device, seconds, REPEATS)
    with counter(quiet=0.0) as progress:
        rows = measure(MODULE, plan, peak=peaks, progress=progress)
    return [without_noise(row) for row in rows], peaks.rates


def without_noise(row: Row) -> Row:
    """A row of `wgan bench`, without its speeds where they are too noisy to be shown."""
    reason = None if "error" in row else too_noisy(row["spread"])
    if reason is None and doubtful(row):
        others = (row.get("load_others") or 0.0) + (row.get("steal") or 0.0)
        reason = f"{TOO_NOISY} ({PLAIN[quality(row)]}; others had {others:.1f} cores)"
    return row | {"p50_ms_reason": reason} | (dict.fromkeys(SPEEDS) if reason else {})


def rate(work: Callable[[Path], object], count: int, rounds: int) -> Figure:
    """Of ``count`` things a second; each round has an empty folder."""
    spans = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            work(Path(folder))
            spans.append(time.perf_counter() - began)
    return measured(spans).per(count)


def parts(backend: Backend, count: int, batch: int, rounds: int) -> Row:
    """Images a second of each part of sampling alone, on the same images."""

    def pixels() -> Pixels:
        return np.concatenate([images for _, images, _ in sample(backend, 0, count, batch)])

    def write(path: Path) -> None:
        with open_output(path, count=count, first=0, text={}) as output:
            for start in range(0, count, batch):
                output.write(start, images[start : start + batch])

    def write_png(folder: Path) -> None:
        for i, data in enumerate(encoded):
            (folder / f"{i:06d}.png").write_bytes(data)

    speeds = [measure_speed(backend, batch, 0.5)["images_per_second"] for _ in range(rounds)]
    images = pixels()
    floats = np.ascontiguousarray(images[:batch].transpose(0, 3, 1, 2), np.float32) / 127.5 - 1
    encoded = [encode_png(image) for image in images]
    rates = {
        "generation": measured(speeds),
        "to 8 bits": rate(lambda _: [to_uint8(floats) for _ in range(8)], 8 * len(floats), rounds),
        "generation to 8 bits": rate(lambda _: pixels(), count, rounds),
        "encoding, one thread": rate(lambda _: [encode_png(image) for image in images], count, rounds),
        "writing encoded files": rate(write_png, count, rounds),
        "encoding and writing, PNG folder": rate(lambda folder: write(folder / "images"), count, rounds),
        "encoding and writing, npy": rate(lambda folder: write(folder / "images.npy"), count, rounds),
        "encoding and writing, tar": rate(lambda folder: write(folder / "images.tar"), count, rounds),
    }
    return {
        "count": count,
        "batch": batch,
        "rounds": rounds,
        **{key: value for name, figure in rates.items() for key, value in figure.row(name).items()},
        "bytes_a_png": sum(map(len, encoded)) / count,
        "share_of_peak": None,
        "flops": backend.metadata.source.get("flops"),
    }


def commands(path: Path, kind: str, count: int, batch: int, device: str, rounds: int) -> list[Row]:
    """`wgan sample` as a process, each kind of output: wall and CPU seconds, and its highest peak of memory."""
    rows = []
    for name, out in OUTPUTS.items():
        say(f"bench_sampling: wgan sample, {path.name}, {name}")
        words = ["sample", "--backend", kind, "--model", str(path), "-n", str(count), "--batch-size", str(batch)]
        spent = []
        for _ in range(rounds):
            with tempfile.TemporaryDirectory() as folder:
                spent.append(wgan(*words, "--device", device, "--out", str(Path(folder) / out)))
        wall = measured([row["wall"] for row in spent])
        row = {"file": path.name, "out": name, "count": count, "rounds": rounds, **wall.row("wall")}
        row["cpu"] = statistics.median(row["cpu"] for row in spent)
        row["peak_memory"] = max((row["peak_memory"] for row in spent if row["peak_memory"]), default=None)
        rows.append(row | {"images_per_second": wall.per(count).value})
    return rows


def overlap(rows: list[Row], alone: Row, file: Path) -> list[Row]:
    """`wgan sample` of PNG files beside what its parts need where they share all cores and nothing is lost."""
    made, encoded, bound = alone["generation"], alone["encoding, one thread"], None
    if made is not None and encoded is not None:
        bound = 1 / (1 / made + 1 / (usable_cores() * encoded))
    compared = []
    for row in rows:
        if row["file"] == file.name and row["out"] in ("PNG folder", "tar"):
            rate = row["images_per_second"]
            share = None if rate is None or bound is None else rate / bound
            compared.append({"out": row["out"], "images_per_second": rate, "bound": bound, "share": share})
    return compared


def cold_starts(path: Path, repeats: int, place: Path) -> list[Row]:
    """Wall and CPU seconds, medians."""
    onnx = ("sample", "--backend", "onnx", "--model", str(path), "-n", "64", "--out", str(place / "cold.png"))
    rows = []
    for name, words in {"wgan --help": ("--help",), "wgan sample --backend onnx -n 64 --out grid.png": onnx}.items():
        say(f"bench_sampling: cold starts of {name}")
        spent = [wgan(*words) for _ in range(repeats)]
        wall, cpu = (measured([row[key] for row in spent]) for key in ("wall", "cpu"))
        rows.append({"command": name, "repeats": repeats, **wall.row("wall"), **cpu.row("cpu")})
    return rows


def memory(counts: list[int], place: Path) -> list[Row]:
    """The peak of `wgan sample` into an .npy: a tiny generator's, as what grows with the number is not the network."""
    ((path, _), *_) = [pair for pair in untrained(place / "tiny", image_size=8, base_channels=4) if pair[1] == "onnx"]
    rows = []
    for count in counts:
        say(f"bench_sampling: peak of memory at {count:,} images")
        out = place / "memory.npy"
        spent = wgan("sample", "--model", str(path), "-n", str(count), "--batch-size", "256", "--out", str(out))
        rows.append({"count": count, "file_bytes": out.stat().st_size, **spent})
    return rows


def show(result: Row) -> str:
    """All tables."""
    peak = ", ".join(f"{name} {value / 1e9:,.0f} GFLOP/s" for name, value in result["peaks"].items() if value)
    lines = [f"matrix product: {peak or 'not measured'}"]
    heads = ("artifact", "backend", "batch", "p50 ms", "spread", "images/s", "to 8 bits", "of peak", "first image s")
    rows: list[tuple[object, ...]] = []
    failed: dict[str, str] = {}
    for row in result["generation"]:
        if "error" in row:
            failed[row["file"]] = row["error"]
            continue
        rates = (shown(row[key], ",.0f") for key in ("images_per_second", "uint8_images_per_second"))
        share = shown(row["share_of_peak"], ".1%")
        begin = (row["file"], row["backend"], row["batch"], cell(row, "p50_ms", ".2f"), shown(row["spread"], ".0%"))
        rows.append((*begin, *rates, share, shown(row["first_image_seconds"], ".2f")))
    lines.append(table(heads, rows, "pure generation"))
    lines += reasons(result["generation"], ["p50_ms"], lambda row: f"{row['file']}, batch {row['batch']}")
    lines += [f"{name}: {error}" for name, error in failed.items()]
    if result["parts"]:
        own = result["parts"]
        split = [(name, cell(own, name, ",.0f"), shown(own[f"{name}_spread"], ".0%")) for name in PARTS]
        lines.append(table(("part", "images/s", "spread"), split, f"each part alone, {own['count']:,} images"))
        lines += reasons([own], PARTS, lambda _: "a part alone")
    heads = ("artifact", "out", "wall s", "spread", "CPU s", "images/s", "peak MiB")
    rows = [
        (
            row["file"],
            row["out"],
            cell(row, "wall", ".2f"),
            shown(row["wall_spread"], ".0%"),
            f"{row['cpu']:.2f}",
            shown(row["images_per_second"], ",.0f"),
            mib(row),
        )
        for row in result["commands"]
    ]
    lines.append(table(heads, rows, "the whole command"))
    lines += reasons(result["commands"], ["wall"], lambda row: f"{row['file']}, {row['out']}")
    rows = [
        (r["out"], shown(r["images_per_second"], ",.0f"), shown(r["bound"], ",.0f"), shown(r["share"], ".0%"))
        for r in result["overlap"]
    ]
    lines.append(table(("out", "images/s", "generation and encoding", "share"), rows, "what overlapping leaves"))
    rows = [(row["command"], cell(row, "wall", ".3f"), cell(row, "cpu", ".3f")) for row in result["cold"]]
    lines.append(table(("cold start", "wall s", "CPU s"), rows, "medians"))
    lines += reasons(result["cold"], ("wall", "cpu"), lambda row: str(row["command"]))
    rows = [(f"{row['count']:,}", mib(row), f"{row['wall']:.1f}") for row in result["memory"]]
    lines.append(table(("images", "peak MiB", "wall s, once"), rows, "peak of memory, 8 px images into an .npy"))
    return "\n".join(lines)


SPEEDS = ("p50_ms", "p95_ms", "images_per_second", "uint8_images_per_second", "share_of_peak")  # of `wgan bench`
PARTS = (
    "generation", "to 8 bits", "generation to 8 bits", "encoding, one thread", "writing encoded files",
    "encoding and writing, PNG folder", "encoding and writing, npy", "encoding and writing, tar",
)  # fmt: skip


def mib(row: Row) -> str:
    """The peak of a process."""
    return shown(None if row["peak_memory"] is None else row["peak_memory"] / 2**20, ",.0f")


def main() -> int:
    """Measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--export", type=Path, help="export folder [default: an untrained generator]")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--quick", action="store_true", help="small and short: a minute or two")
    parser.add_argument("--batches", type=wholes, help="[default: 1,16,64,256; quick 1,64]")
    parser.add_argument("--count", type=whole(1), help="images of a whole command [default: 10000; quick 256]")
    parser.add_argument("--repeats", type=whole(1), help="of the cold starts [default: 9; quick 3]")
    parser.add_argument("--rounds", type=whole(1), help="of parts and whole commands [default: 3; quick 2]")
    parser.add_argument("--memory", type=wholes, help="numbers of images [default: 1000 to 1000000; quick 10000]")
    parser.add_argument("--seconds", type=float, help="of each timing [default: 2; quick 0.3]")
    wanted = parser.parse_args()
    return run("bench_sampling", lambda: everything(wanted), show)


def everything(wanted: argparse.Namespace) -> Row:
    """Everything."""
    check_device(wanted.device)
    quick = wanted.quick
    batches = wanted.batches or ([1, 64] if quick else [1, 16, 64, 256])
    count, rounds = wanted.count or (256 if quick else 10_000), wanted.rounds or (2 if quick else 3)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        size = {"image_size": 32, "base_channels": 8} if quick else {"image_size": 64, "base_channels": 64}
        files = artifacts(wanted.export) if wanted.export else untrained(place / "export", **size, latent_dim=128)
        rows, peaks = generation(files, batches, wanted.device, wanted.seconds or (0.3 if quick else 2.0))
        running = [(p, k) for p, k in files if any(r["path"] == str(p) and "error" not in r for r in rows)]
        ours = next(
            (path for path, kind in running if kind == "onnx" and describe(Subject(path, kind))["precision"] == "fp32"),
            None,
        )
        alone: Row = {}
        if ours is not None:
            say("bench_sampling: each part alone")
            with open_model(ours, "onnx", wanted.device) as backend:
                alone = parts(backend, count, batch_size_for(backend, None), rounds)
                on = "CPU fp32" if backend.device == "cpu" else "CUDA fp32"
            speed = {**alone, "images_per_second": alone["generation"]}
            alone["share_of_peak"] = None if alone["generation"] is None else share_of_peak(speed, peaks.get(on))
        whole_rows = [row for path, kind in running for row in commands(path, kind, count, 64, wanted.device, rounds)]
        cold = cold_starts(ours, wanted.repeats or (3 if quick else 9), place) if ours is not None else []
        grown = memory(wanted.memory or ([1000, 10_000] if quick else [1000, 100_000, 1_000_000]), place)
    return {
        "benchmark": "sampling",
        "machine": machine(),
        "trained": wanted.export is not None,
        "peaks": peaks,
        "generation": rows,
        "parts": alone,
        "commands": whole_rows,
        "overlap": overlap(whole_rows, alone, ours) if ours is not None else [],
        "cold": cold,
        "memory": grown,
    }


if __name__ == "__main__":
    sys.exit(main())
