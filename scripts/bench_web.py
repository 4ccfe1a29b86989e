"""An exported page measured: `python scripts/bench_web.py [--page DIR] [--rounds N]`.

How long from the address to the first image on the page, in a browser that has never seen it, from
`python -m http.server` on this machine; and 64 images by its worker, beside ONNX Runtime of this machine on the same
generator, in turns. Without --page it is an untrained generator of the preset faces-64, of 4 MB with its classes.
A figure is the median of its rounds, with the best beside it. Stdout is a table and, as its last line, one JSON object.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from bench_shared import Row, cell, machine, measured, reasons, run, say, shown, table, whole

from wgan.serve.artifacts import artifact
from wgan.serve.backends.base import Options
from wgan.serve.backends.browser.backend import BrowserBackend
from wgan.serve.backends.browser.devtools import Browser, Tab
from wgan.serve.backends.onnxrt.backend import OnnxBackend
from wgan.serve.latents.table import latents
from wgan.serve.machine.load import own_and_ended_children
from wgan.serve.outputs.pixels import to_uint8
from wgan.serve.sampling.sampler import labels_for

BATCH = 64
FIRST = 'performance.getEntriesByName("first-image")'
DRAW = f"""(async () => {{
  const seeds = BigUint64Array.from({{ length: {BATCH} }}, (_, i) => BigInt(i));
  const began = performance.now();
  await told({{ kind: "draw", seeds, label: null, truncation: null, truncationKind: "truncated" }});
  return performance.now() - began;
}})()"""


def untrained(folder: Path) -> Path:
    """The page of a generator that was not trained."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.make import make_generator
    from wgan.export import exporter
    from wgan.training.config import load

    wanted = load("faces-64")
    sizes = {name: getattr(wanted, name) for name in ("image_size", "base_channels", "latent_dim")}
    classes = tuple(f"class {number}" for number in range(8))
    (made,) = exporter.export(make_generator(classes=classes, **sizes), folder, ["web"], max_batch=8)
    return made.path


@contextmanager
def served(page: Path) -> Iterator[str]:
    """Its address, as the command that `wgan export` ends with serves it."""
    words = [sys.executable, "-u", "-m", "http.server", "-b", "127.0.0.1", "-d", str(page), "0"]
    server = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert server.stdout is not None
        told = re.search(r"port (\d+)", server.stdout.readline())
        assert told is not None
        yield f"http://127.0.0.1:{told[1]}/"
    finally:
        server.terminate()
        server.wait()


browsers_seconds = 0.0  # of CPU, of the processes that browsers started: nobody waits for those


def own_seconds() -> float:
    """CPU seconds of this script, its children, and the browsers' children."""
    return own_and_ended_children() + browsers_seconds


@contextmanager
def counted_in(browser: Browser) -> Iterator[None]:
    """Adds at the end what the browser's processes took, but its first, which is a child of this one."""
    global browsers_seconds
    yield
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            words = path.read_text().rpartition(")")[2].split()  # man 5 proc, from the third on
            if int(words[2]) == browser.pid != int(path.parent.name):
                browsers_seconds += (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def first_image(url: str) -> tuple[float, float, str]:
    """Seconds from the address to the first image, bytes fetched until then, and the browser; nothing is cached."""
    with Browser() as browser, counted_in(browser), browser.tab(Tab) as tab:
        tab.open(url)
        tab.wait(f"{FIRST}.length")
        fetched = tab.get('performance.getEntriesByType("resource").reduce((sum, one) => sum + one.decodedBodySize, 0)')
        return tab.get(f"{FIRST}[0].startTime") / 1e3, fetched, browser.version


def speeds(page: Path, rounds: int) -> tuple[list[float], ...]:
    """Seconds for 64 seeds, a round each, in the browser, by ONNX Runtime on all cores, and by it on one."""
    found: tuple[list[float], ...] = ([], [], [])
    graph = artifact.read(page / "generator.onnx")
    with (
        BrowserBackend(artifact.read(page)) as browser,
        OnnxBackend(graph, "cpu") as every,
        OnnxBackend(graph, "cpu", Options(threads=1)) as one,
        ExitStack() as whole_run,
    ):
        assert isinstance(browser, BrowserBackend)
        assert browser.browser is not None
        whole_run.enter_context(counted_in(browser.browser))
        for number in range(rounds + 1):  # the first warms up
            spent = [browser.tab.get(DRAW) / 1e3]
            for backend in (every, one):
                began = time.perf_counter()
                z = latents(0, BATCH, backend.metadata.latent.dim)
                to_uint8(backend.run(z, labels_for(backend, 0, BATCH, None)))
                spent.append(time.perf_counter() - began)
            for seconds, span in zip(found, spent, strict=True):
                seconds += [span] if number else []
    return found


def drawn(name: str, seconds: list[float]) -> Row:
    """Images a second: the median of the rounds, and the fastest, from which other work took the least."""
    return {**measured(seconds).per(BATCH).row(name), f"{name}_best": BATCH / min(seconds)}


def measure(page: Path, rounds: int) -> Row:
    """All figures."""
    metadata = artifact.read(page).metadata
    say(f"bench_web: {page}, {metadata.precision}, {rounds} rounds")
    with served(page) as url:
        firsts = [first_image(url) for _ in range(rounds)]
    browsers, everys, ones = speeds(page, rounds)
    return {
        "benchmark": "web",
        "browser": firsts[0][2],
        "precision": metadata.precision,
        "generator_bytes": (page / "generator.onnx").stat().st_size,
        "folder_bytes": artifact.size_of(page),
        "parity": metadata.parity,
        "rounds": rounds,
        **measured([seconds for seconds, _, _ in firsts]).row("first_image_seconds"),
        "first_image_seconds_best": min(seconds for seconds, _, _ in firsts),
        "first_image_slowest": max(seconds for seconds, _, _ in firsts),
        "first_image_bytes": firsts[0][1],
        **drawn("browser_images_per_second", browsers),
        **drawn("onnxruntime_images_per_second", everys),
        **drawn("onnxruntime_one_thread_images_per_second", ones),
        "machine": machine(),
    }


def show(row: Row) -> str:
    """A table."""
    names = {
        "first_image_seconds": ("s to the first image", ",.2f"),
        "browser_images_per_second": ("images/s in the browser", ",.0f"),
        "onnxruntime_images_per_second": ("images/s, ONNX Runtime", ",.0f"),
        "onnxruntime_one_thread_images_per_second": ("images/s, ONNX Runtime, one thread", ",.0f"),
    }
    cells = [
        (words, cell(row, name, form), shown(row[f"{name}_spread"], ".0%"), shown(row[f"{name}_best"], form))
        for name, (words, form) in names.items()
    ]
    title = f"{row['generator_bytes'] / 1e6:.1f} MB {row['precision']} in {row['browser']}"
    return "\n".join(
        [table(("", "median", "spread", "best"), cells, title), *reasons([row], list(names), lambda _: "page")]
    )


def main() -> int:
    """Measures a page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", type=Path, metavar="DIR", help="an exported page [default: an untrained generator's]")
    parser.add_argument("--rounds", type=whole(1), default=7, metavar="N")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return run(
            "bench_web", lambda: measure(wanted.page or untrained(Path(folder)), wanted.rounds), show, own_seconds
        )


if __name__ == "__main__":
    sys.exit(main())
