"""How fast real images come: `python scripts/bench_data.py`: the first caching pass over JPEGs, then batches of them.

A figure is the median of its rounds, and none where they lie too far apart. Stdout is tables and, as its last
line, one JSON object.
"""

import argparse
import io
import sys
import tempfile
import time
from pathlib import Path

import torch
from bench_shared import (
    Figure,
    Row,
    cell,
    device_named,
    machine,
    measured,
    reasons,
    run,
    say,
    seconds,
    shown,
    table,
    whole,
)
from PIL import Image

from wgan.training.data import ImageSet, faces, open_images
from wgan.training.data.augment import OFF, Augmentation, prepare
from wgan.training.data.decode import Shape
from wgan.training.data.stream import BatchStream

DISTINCT = 64  # faces drawn: what a JPEG shows changes little of how long it takes


def draw_jpegs(folder: Path, count: int, side: int) -> int:
    """Writes ``count`` JPEGs of drawn faces, ``side`` pixels; returns their bytes."""
    encoded = []
    for i in range(min(count, DISTINCT)):
        pixels, _ = faces.draw_face(i, 256)
        file = io.BytesIO()
        Image.fromarray(pixels).resize((side, side)).save(file, "JPEG", quality=90)
        encoded.append(file.getvalue())
    total = 0
    for i in range(count):
        total += (folder / f"{i:06d}.jpg").write_bytes(encoded[i % len(encoded)])
    return total


def caching(folder: Path, cache: Path, image_size: int, rounds: int) -> tuple[ImageSet, Figure, Figure]:
    """The images, and the seconds of the first pass and of the second, which finds them decoded."""
    spans: list[list[float]] = [[], []]
    for i in range(rounds):
        for own in spans:
            began = time.perf_counter()
            images = open_images(str(folder), Shape(image_size, 3, "crop"), cache_dir=cache / f"{i}")
            own.append(time.perf_counter() - began)
    return images, measured(spans[0]), measured(spans[1])


def batches(
    images: ImageSet, batch: int, augmentation: Augmentation, device: torch.device, span: float, rounds: int
) -> Row:
    """Images a second from the cache to float batches on the device."""
    stream, random = BatchStream(images, batch, 0, device), torch.Generator(device).manual_seed(0)

    def work() -> None:
        for _ in range(count):
            prepare(stream.next()[0], augmentation, random)

    count = 2
    once = seconds(work, device) / count  # warm-up
    count = max(3, round(span / rounds / once))
    rate = measured([seconds(work, device) for _ in range(rounds)]).per(count * batch)
    return {"batch": batch, "augmented": bool(augmentation), **rate.row("images_per_second")}


def main() -> int:
    """Measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--quick", action="store_true", help="1,000 JPEGs, shorter timings")
    parser.add_argument("--count", type=whole(1), help="JPEGs [default: 10,000]")
    parser.add_argument("--side", type=whole(8), default=256, help="of the JPEGs, pixels [default: 256]")
    parser.add_argument("--rounds", type=whole(1), default=3, help="[default: 3]")
    parser.add_argument("--image-size", type=int, default=64, choices=(8, 16, 32, 64, 128, 256))
    wanted = parser.parse_args()
    return run("bench_data", lambda: measure(wanted), show)


def measure(wanted: argparse.Namespace) -> Row:
    """Both passes, and batches of two sizes with and without augmentation."""
    count, span = wanted.count or (1000 if wanted.quick else 10_000), 0.5 if wanted.quick else 3.0
    device, rounds = device_named(wanted.device), wanted.rounds
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "jpegs"
        folder.mkdir()
        say(f"bench_data: drawing {count:,} JPEGs of {wanted.side} px")
        total = draw_jpegs(folder, count, wanted.side)
        say("bench_data: the first pass and the second")
        images, first, second = caching(folder, Path(place) / "cache", wanted.image_size, rounds)
        rows = []
        for batch in (64, 512):
            for augmentation in (OFF, Augmentation()):
                say(f"bench_data: batches of {batch}{', augmented' if augmentation else ''}")
                rows.append(batches(images, batch, augmentation, device, span, rounds))
    return {
        "benchmark": "data",
        "machine": machine(device),
        "jpegs": {"count": count, "side": wanted.side, "bytes": total},
        "rounds": rounds,
        **first.row("first_pass_seconds"),
        **second.row("second_pass_seconds"),
        "image_size": wanted.image_size,
        "batches": rows,
    }


def batch_of(row: Row) -> str:
    """What a row of batches is called."""
    return f"batch {row['batch']}{', augmented' if row['augmented'] else ''}"


def show(result: Row) -> str:
    """The tables."""
    jpegs, first = result["jpegs"], result["first_pass_seconds"]
    rates = [None if first is None else jpegs[key] / first for key in ("count", "bytes")]
    passes = [
        (
            name,
            cell(result, f"{name}_pass_seconds", ".2f"),
            shown(result[f"{name}_pass_seconds_spread"], ".0%"),
            *extra,
        )
        for name, extra in (
            ("first", (shown(rates[0], ",.0f"), shown(None if rates[1] is None else rates[1] / 1e6))),
            ("second", ("-", "-")),
        )
    ]
    title = f"{jpegs['count']:,} JPEGs of {jpegs['side']} px into a cache of {result['image_size']} px"
    cells = [
        (
            row["batch"],
            "yes" if row["augmented"] else "no",
            cell(row, "images_per_second", ",.0f"),
            shown(row["images_per_second_spread"], ".0%"),
        )
        for row in result["batches"]
    ]
    where = f"from the cache to {result['machine']['device']}"
    return "\n".join(
        [
            table(("pass", "seconds", "spread", "images/s", "MB/s"), passes, title),
            *reasons([result], ("first_pass_seconds", "second_pass_seconds"), lambda _: "caching"),
            table(("batch", "augmented", "images/s", "spread"), cells, where),
            *reasons(result["batches"], ["images_per_second"], batch_of),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
