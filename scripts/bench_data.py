"""How fast real images come: `python scripts/bench_data.py`: the first caching pass over JPEGs, then batches of them.

Stdout is tables and, as its last line, one JSON object.
"""

import argparse
import io
import sys
import tempfile
import time
from pathlib import Path

import torch
from benching import Row, device_named, machine, run, say, seconds, shown, table, whole
from PIL import Image

from wgan.training import faces
from wgan.training.data import ImageSet, open_images
from wgan.training.data.augment import OFF, Augmentation, prepare
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


def caching(folder: Path, cache: Path, image_size: int) -> tuple[ImageSet, float, float]:
    """The images, and the seconds of the first pass and of the second, which finds them decoded."""
    spans = []
    for _ in range(2):
        began = time.perf_counter()
        images = open_images(str(folder), image_size=image_size, channels=3, fit="crop", cache_dir=cache)
        spans.append(time.perf_counter() - began)
    return images, spans[0], spans[1]


def batches(images: ImageSet, batch: int, augmentation: Augmentation, device: torch.device, span: float) -> Row:
    """Images a second from the cache to float batches on the device."""
    stream, random = BatchStream(images, batch, 0, device), torch.Generator(device).manual_seed(0)

    def work() -> None:
        for _ in range(rounds):
            prepare(stream.next()[0], augmentation, random)

    rounds = 2
    once = seconds(work, device) / rounds  # warm-up
    rounds = max(3, round(span / once))
    rate = rounds * batch / seconds(work, device)
    return {"batch": batch, "augmented": bool(augmentation), "images_per_second": rate}


def main() -> int:
    """Measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--quick", action="store_true", help="1,000 JPEGs, shorter timings")
    parser.add_argument("--count", type=whole(1), help="JPEGs [default: 10,000]")
    parser.add_argument("--side", type=whole(8), default=256, help="of the JPEGs, pixels [default: 256]")
    parser.add_argument("--image-size", type=int, default=64, choices=(8, 16, 32, 64, 128, 256))
    wanted = parser.parse_args()
    return run("bench_data", lambda: measure(wanted), show)


def measure(wanted: argparse.Namespace) -> Row:
    """Both passes, and batches of two sizes with and without augmentation."""
    count, span = wanted.count or (1000 if wanted.quick else 10_000), 0.5 if wanted.quick else 3.0
    device = device_named(wanted.device)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "jpegs"
        folder.mkdir()
        say(f"bench_data: drawing {count:,} JPEGs of {wanted.side} px")
        total = draw_jpegs(folder, count, wanted.side)
        say("bench_data: the first pass")
        images, first, second = caching(folder, Path(place) / "cache", wanted.image_size)
        rows = []
        for batch in (64, 512):
            for augmentation in (OFF, Augmentation()):
                say(f"bench_data: batches of {batch}{', augmented' if augmentation else ''}")
                rows.append(batches(images, batch, augmentation, device, span))
    return {
        "benchmark": "data",
        "machine": machine(device),
        "jpegs": {"count": count, "side": wanted.side, "bytes": total},
        "first_pass_seconds": first,
        "second_pass_seconds": second,
        "image_size": wanted.image_size,
        "batches": rows,
    }


def show(result: Row) -> str:
    """The tables."""
    jpegs, first, second = result["jpegs"], result["first_pass_seconds"], result["second_pass_seconds"]
    passes = [
        ("first", f"{first:.2f}", shown(jpegs["count"] / first, ",.0f"), shown(jpegs["bytes"] / first / 1e6)),
        ("second", f"{second:.2f}", "-", "-"),
    ]
    title = f"{jpegs['count']:,} JPEGs of {jpegs['side']} px into a cache of {result['image_size']} px"
    cells = [
        (row["batch"], "yes" if row["augmented"] else "no", f"{row['images_per_second']:,.0f}")
        for row in result["batches"]
    ]
    where = f"from the cache to {result['machine']['device']}"
    return "\n".join(
        [
            table(("pass", "seconds", "images/s", "MB/s"), passes, title),
            table(("batch", "augmented", "images/s"), cells, where),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
