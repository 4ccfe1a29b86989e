"""Sampling measured whole and in parts: `python scripts/bench_sampling.py [--export runs/x/export]`.

Pure generation on each backend and precision; `wgan sample` as a process with its files written, beside generation,
encoding and writing each alone; cold starts; and the peak of memory at rising numbers of images. Without --export it
measures an untrained generator of the document's size, whose noisy images compress worse than a trained one's.
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
from benching import Row, machine, run, say, shown, table, wgan, whole, wholes

from wgan.serve import artifact
from wgan.serve.backend import Backend
from wgan.serve.bench import Subject, describe, measure, share_of_peak
from wgan.serve.bench_peak import Peaks
from wgan.serve.benchmark import measure_speed
from wgan.serve.commands_sample import open_model
from wgan.serve.cores import usable_cores
from wgan.serve.errors import ConfigError, WganError
from wgan.serve.images import Pixels, encode_png, to_uint8
from wgan.serve.outputs import open_output
from wgan.serve.progress import counter
from wgan.serve.sampler import batch_size_for, sample
from wgan.serve.torch_device import check_name

MODULE = "wgan.serve.commands_bench"
OUTPUTS = {"PNG folder": "images", "npy": "images.npy", "tar": "images.tar"}


def untrained(folder: Path, **changes: object) -> list[tuple[Path, str]]:
    """Exports a generator that was not trained, in every format and precision that can be built here."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.make import make_generator
    from wgan.export import exporter

    generator = make_generator(**changes)
    for precision in ("fp32", "fp16"):
        for kind in exporter.ENDINGS:
            try:
                list(exporter.export(generator, folder, [kind], precision=precision))
            except WganError as error:
                say(f"bench_sampling: no {exporter.file_name(kind, precision)}: {error}")
    return artifacts(folder)


def artifacts(folder: Path) -> list[tuple[Path, str]]:
    """The files of an export folder and their backends. Raises ConfigError where there is none."""
    found = [(path, artifact.format_of(path)) for path in artifact.list_folder(folder)]
    if (reference := folder / "generator.pt").is_file():
        found.append((reference, "torch"))
    if not found:
        raise ConfigError(f"no artifact in {folder}: run `wgan export` first")
    return found


def generation(
    files: list[tuple[Path, str]], batches: list[int], device: str, seconds: float
) -> tuple[list[Row], dict[str, float | None]]:
    """Rows of `wgan bench`, and the peaks that their shares are of."""
    peaks, subjects = Peaks(MODULE), [Subject(*file) for file in files]
    with counter(quiet=0.0) as progress:
        rows = list(measure(MODULE, subjects, batches, device=device, seconds=seconds, peak=peaks, progress=progress))
    return rows, peaks.found


def rate(work: Callable[[], object], count: int) -> float:
    """Of ``count`` things a second."""
    began = time.perf_counter()
    work()
    return count / (time.perf_counter() - began)


def parts(backend: Backend, count: int, batch: int, place: Path) -> Row:
    """Images a second of each part of sampling alone, on the same images."""

    def pixels() -> Pixels:
        return np.concatenate([images for _, images, _ in sample(backend, 0, count, batch)])

    def write(name: str) -> None:
        with open_output(place / f"alone-{name}", count=count, first=0, text={}) as output:
            for start in range(0, count, batch):
                output.write(start, images[start : start + batch])

    def write_png() -> None:
        folder = place / "alone-written"
        folder.mkdir()
        for i, data in enumerate(encoded):
            (folder / f"{i:06d}.png").write_bytes(data)

    speed = measure_speed(backend, batch, 1.0)
    images = pixels()
    floats = np.ascontiguousarray(images[:batch].transpose(0, 3, 1, 2), np.float32) / 127.5 - 1
    encoded = [encode_png(image) for image in images]
    return {
        "count": count,
        "batch": batch,
        "generation": speed["images_per_second"],
        "to 8 bits": rate(lambda: [to_uint8(floats) for _ in range(8)], 8 * len(floats)),
        "generation to 8 bits": rate(pixels, count),
        "encoding, one thread": rate(lambda: [encode_png(image) for image in images], count),
        "writing encoded files": rate(write_png, count),
        "encoding and writing, PNG folder": rate(lambda: write("images"), count),
        "encoding and writing, npy": rate(lambda: write("images.npy"), count),
        "encoding and writing, tar": rate(lambda: write("images.tar"), count),
        "bytes_a_png": sum(map(len, encoded)) / count,
        "share_of_peak": None,
        "flops": backend.metadata.source.get("flops"),
    }


def commands(path: Path, kind: str, count: int, batch: int, device: str, place: Path) -> list[Row]:
    """`wgan sample` as a process, each kind of output."""
    rows = []
    for name, out in OUTPUTS.items():
        say(f"bench_sampling: wgan sample, {path.name}, {name}")
        words = ["sample", "--backend", kind, "--model", str(path), "-n", str(count), "--batch-size", str(batch)]
        spent = wgan(*words, "--device", device, "--out", str(place / f"{kind}-{out}"))
        rows.append(
            {"file": path.name, "out": name, "count": count, **spent, "images_per_second": count / spent["wall"]}
        )
    return rows


def overlap(rows: list[Row], found: Row, file: Path) -> list[Row]:
    """`wgan sample` of PNG files beside what its parts need where they share all cores and nothing is lost."""
    cores = usable_cores()
    bound = 1 / (1 / found["generation"] + 1 / (cores * found["encoding, one thread"]))
    return [
        {"out": row["out"], "images_per_second": row["images_per_second"], "bound": bound,
         "share": row["images_per_second"] / bound}
        for row in rows
        if row["file"] == file.name and row["out"] in ("PNG folder", "tar")
    ]  # fmt: skip


def cold_starts(path: Path, repeats: int, place: Path) -> list[Row]:
    """Wall and CPU seconds, medians."""
    onnx = ("sample", "--backend", "onnx", "--model", str(path), "-n", "64", "--out", str(place / "cold.png"))
    rows = []
    for name, words in {"wgan --help": ("--help",), "wgan sample --backend onnx -n 64 --out grid.png": onnx}.items():
        say(f"bench_sampling: cold starts of {name}")
        spent = [wgan(*words) for _ in range(repeats)]
        medians = {key: statistics.median(row[key] for row in spent) for key in ("wall", "cpu")}
        rows.append({"command": name, "repeats": repeats, **medians})
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
    found = [f"matrix product: {peak or 'not measured'}"]
    heads = ("artifact", "backend", "batch", "p50 ms", "images/s", "to 8 bits", "of peak", "first image s")
    rows, failed = [], {}
    for row in result["generation"]:
        if "error" in row:
            failed[row["file"]] = row["error"]
            continue
        rates = (shown(row[key], ",.0f") for key in ("images_per_second", "uint8_images_per_second"))
        share = shown(row["share_of_peak"], ".1%")
        begin = (row["file"], row["backend"], row["batch"], shown(row["p50_ms"], ".2f"))
        rows.append((*begin, *rates, share, shown(row["first_image_seconds"], ".2f")))
    found.append(table(heads, rows, "pure generation"))
    found += [f"{name}: {error}" for name, error in failed.items()]
    if result["parts"]:
        split = [(name, shown(value, ",.0f")) for name, value in result["parts"].items() if name in PARTS]
        found.append(table(("part", "images/s"), split, f"each part alone, {result['parts']['count']:,} images"))
    heads = ("artifact", "out", "wall s", "CPU s", "images/s", "peak MiB")
    rows = [
        (
            row["file"],
            row["out"],
            f"{row['wall']:.2f}",
            f"{row['cpu']:.2f}",
            f"{row['images_per_second']:,.0f}",
            mib(row),
        )
        for row in result["commands"]
    ]
    found.append(table(heads, rows, "the whole command"))
    rows = [
        (r["out"], shown(r["images_per_second"], ",.0f"), shown(r["bound"], ",.0f"), f"{r['share']:.0%}")
        for r in result["overlap"]
    ]
    found.append(table(("out", "images/s", "generation and encoding", "share"), rows, "what overlapping leaves"))
    rows = [(row["command"], f"{row['wall']:.3f}", f"{row['cpu']:.3f}") for row in result["cold"]]
    found.append(table(("cold start", "wall s", "CPU s"), rows, "medians"))
    rows = [(f"{row['count']:,}", mib(row), f"{row['wall']:.1f}") for row in result["memory"]]
    found.append(table(("images", "peak MiB", "wall s"), rows, "peak of memory, 8 px images into an .npy"))
    return "\n".join(found)


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
    parser.add_argument("--memory", type=wholes, help="numbers of images [default: 1000 to 1000000; quick 10000]")
    parser.add_argument("--seconds", type=float, help="of each timing [default: 2; quick 0.3]")
    wanted = parser.parse_args()
    return run("bench_sampling", lambda: measured(wanted), show)


def measured(wanted: argparse.Namespace) -> Row:
    """Everything."""
    check_name(wanted.device)
    quick = wanted.quick
    batches = wanted.batches or ([1, 64] if quick else [1, 16, 64, 256])
    count = wanted.count or (256 if quick else 10_000)
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
        found: Row = {}
        if ours is not None:
            say("bench_sampling: each part alone")
            with open_model(ours, "onnx", wanted.device) as backend:
                found = parts(backend, count, batch_size_for(backend, None), place)
                on = "CPU fp32" if backend.device == "cpu" else "CUDA fp32"
            found["share_of_peak"] = share_of_peak({**found, "images_per_second": found["generation"]}, peaks.get(on))
        whole_rows = [row for path, kind in running for row in commands(path, kind, count, 64, wanted.device, place)]
        cold = cold_starts(ours, wanted.repeats or (3 if quick else 9), place) if ours is not None else []
        grown = memory(wanted.memory or ([1000, 10_000] if quick else [1000, 100_000, 1_000_000]), place)
    return {
        "benchmark": "sampling",
        "machine": machine(),
        "trained": wanted.export is not None,
        "peaks": peaks,
        "generation": rows,
        "parts": found,
        "commands": whole_rows,
        "overlap": overlap(whole_rows, found, ours) if ours is not None else [],
        "cold": cold,
        "memory": grown,
    }


if __name__ == "__main__":
    sys.exit(main())
