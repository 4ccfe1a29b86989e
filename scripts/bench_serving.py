"""`wgan serve` measured from outside: `python scripts/bench_serving.py [--model generator.onnx]`.

Requests a second, p50 and p99 of one PNG and of 16 raw images, at 1 to 256 clients on the same machine, every request
for other images; beside them what `sample()` makes in one process, in turns with the server. With --triton FOLDER,
where `triton_real.py fetch` has put a real Triton, 16 raw images from that too. A figure is the median of its rounds.
The CPU time is the server's for an image: other work changes it least. Clients and server share the cores. Stdout is
tables and, as its last line, one JSON object.
"""

import argparse
import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from bench_client import Load, drive, has_wrk
from bench_shared import Figure, Row, cell, machine, measured, ratio, reasons, run, say, table, whole, wholes

from wgan.models import find_model, open_model
from wgan.serve.backends.base import Backend
from wgan.serve.sampling.sampler import batch_size_for, sample

DEMO = Path("runs/demo/export/generator.onnx")
RAW = 16  # images of a raw request
READY, ENDED = 60.0, 60.0  # seconds that a server may take
CASES = {"png": "one PNG", "raw": f"{RAW} raw images", "infer": f"{RAW} raw images, Triton"}


@contextmanager
def serving(path: Path) -> Iterator[tuple[str, int, "subprocess.Popen[str]"]]:
    """`wgan serve` on a free port, ready: its address and its process.

    Raises:
        RuntimeError: it is not ready in time.
    """
    command = [sys.executable, "-m", "wgan", "serve", "--model", str(path), "--device", "cpu", "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            with selectors.DefaultSelector() as selector:
                selector.register(server.stdout, selectors.EVENT_READ)
                line = server.stdout.readline() if selector.select(READY) else ""
            if not line:
                raise RuntimeError("wgan serve did not become ready")
            url = urlsplit(json.loads(line)["url"])
            yield url.hostname or "", url.port or 0, server
        finally:
            server.terminate()
            try:
                server.wait(ENDED)
            except subprocess.TimeoutExpired:
                server.kill()


@contextmanager
def triton(path: Path, folder: Path) -> Iterator[tuple[str, int]]:
    """A real Triton with this artifact, which it calls by its file's stem: its address."""
    import triton_real

    from wgan.export.formats.triton import Settings, write_repository

    with tempfile.TemporaryDirectory() as place:
        repository = Path(place) / "models"
        write_repository(path, repository, Settings(device="cpu"))
        with triton_real.running(triton_real.found(folder), repository, log=Path(place) / "log") as (_, address):
            host, port = address.split(":")
            yield host, int(port)


def alone(backend: Backend, seconds: float) -> Row:
    """What `sample()` makes in this process, in its own batches."""
    batch = batch_size_for(backend, None)
    made, began, cpu = 0, time.perf_counter(), time.process_time()
    while (spent := time.perf_counter() - began) < seconds:
        for _, images, _ in sample(backend, made, 4 * batch, batch):
            made += len(images)
    return {"done": made, "seconds": spent, "cpu": time.process_time() - cpu}


def cpu_seconds(process: int) -> float | None:
    """The CPU time that a process has taken so far; None but on Linux."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def peak_memory(process: int) -> int | None:
    """The most memory that a process has had resident so far, bytes; None but on Linux."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), None)


def rates(told: list[Row], images: int) -> dict[str, Figure]:
    """Of the rounds of one case, each of ``images`` a request: a second, and of CPU time what one image takes."""
    rate = measured([row["done"] / row["seconds"] for row in told])
    figures = {"requests_per_second": rate, "images_per_second": rate.times(images)}
    if all(row.get("cpu") for row in told):
        figures["cpu_ms_an_image"] = measured([1e3 * row["cpu"] / row["done"] / images for row in told])
    return figures


def row_of(kind: str, clients: int, told: list[Row], sampled: dict[str, Figure]) -> Row:
    """The row of a case, beside `sample()`."""
    images = 1 if kind == "png" else RAW
    figures = rates(told, images)
    figures["of_sample"] = ratio(figures["images_per_second"], sampled["images_per_second"])
    figures |= {name: measured([row[name] for row in told]) for name in ("p50_ms", "p99_ms")}
    row: Row = {"case": CASES[kind], "clients": clients, "rounds": len(told), "images": images}
    row["failed"] = sum(each["failed"] for each in told)
    return row | {key: value for name, figure in figures.items() for key, value in figure.row(name).items()}


def everything(wanted: argparse.Namespace) -> Row:
    """Everything."""
    quick = wanted.quick
    clients = wanted.clients or ([1, 16] if quick else [1, 16, 64, 256])
    seconds, rounds = wanted.seconds or (1.0 if quick else 3.0), wanted.rounds or (1 if quick else 5)
    wrk = has_wrk() if wanted.client == "auto" else wanted.client == "wrk"
    model = wanted.model or (DEMO if DEMO.is_file() else Path("faces"))
    path, kind = find_model(model, None, "onnx", device="cpu")
    cells: dict[tuple[str, int], list[Row]] = {}
    sampled = []
    with ExitStack() as stack:
        backend = stack.enter_context(closing(open_model(path, kind, "cpu")))
        host, port, server = stack.enter_context(serving(path))
        servers: dict[str, tuple[str, int]] = {"png": (host, port), "raw": (host, port)}
        if wanted.triton:
            servers["infer"] = stack.enter_context(triton(path, wanted.triton))

        def ask(kind: str, clients: int, seconds: float) -> Row:
            images, spec = 1 if kind == "png" else RAW, backend.metadata
            named = spec.latent.dim, path.stem, spec.classes is not None
            load = Load(kind, *servers[kind], clients, seconds, images, *named)
            before = cpu_seconds(server.pid)
            told = drive(load, wrk)
            if not told["done"]:
                raise RuntimeError(
                    f"{CASES[kind]}, {clients} clients: no image, {told['failed']} failed: {told.get('said')}"
                )
            after = None if kind == "infer" else cpu_seconds(server.pid)
            return told | {"cpu": None if before is None or after is None else after - before}

        alone(backend, 0.5)
        for name in servers:
            ask(name, 4, 0.5)  # not counted
        for number in range(rounds):
            say(f"bench_serving: round {number + 1} of {rounds}")
            sampled.append(alone(backend, seconds))
            for name in servers:
                for count in clients:
                    cells.setdefault((name, count), []).append(ask(name, count, seconds))
        memory = peak_memory(server.pid)
    beside = rates(sampled, 1)
    return {
        "benchmark": "serving",
        "machine": machine(),
        "model": {"file": path.name, "flops": backend.metadata.source.get("flops")},
        "client": "wrk" if wrk else "own",
        "sample": {key: value for name, figure in beside.items() for key, value in figure.row(name).items()},
        "rows": [row_of(name, count, told, beside) for (name, count), told in cells.items()],
        "peak_memory": memory,
    }


def show(result: Row) -> str:
    """The tables."""
    heads = ("asked for", "clients", "requests/s", "images/s", "of sample()", "CPU ms", "p50 ms", "p99 ms", "failed")
    rows = [
        (
            row["case"],
            row["clients"],
            cell(row, "requests_per_second", ",.0f"),
            cell(row, "images_per_second", ",.0f"),
            cell(row, "of_sample", ".0%"),
            cell(row, "cpu_ms_an_image", ".3f") if "cpu_ms_an_image" in row else "-",
            cell(row, "p50_ms", ",.2f"),
            cell(row, "p99_ms", ",.1f"),
            row["failed"],
        )
        for row in result["rows"]
    ]
    names = ("requests_per_second", "p50_ms", "p99_ms")
    beside = cell(result["sample"], "images_per_second", ",.0f"), cell(result["sample"], "cpu_ms_an_image", ".3f")
    lines = ["sample() in one process: {} images/s, {} ms of CPU time an image".format(*beside)]
    lines.append(table(heads, rows, f"wgan serve, {result['model']['file']}, clients: {result['client']}"))
    lines += reasons(result["rows"], names, lambda row: f"{row['case']}, {row['clients']} clients")
    if result["peak_memory"]:
        lines.append(f"the server's peak of memory: {result['peak_memory'] / 2**20:,.0f} MiB")
    return "\n".join(lines)


def main() -> int:
    """Measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help=f"an ONNX artifact [default: {DEMO}, else the built-in generator]")
    parser.add_argument("--quick", action="store_true", help="one short round: well under a minute")
    parser.add_argument("--clients", type=wholes, help="at a time [default: 1,16,64,256; quick 1,16]")
    parser.add_argument("--rounds", type=whole(1), help="[default: 5; quick 1]")
    parser.add_argument("--seconds", type=float, help="of each timing [default: 3; quick 1]")
    parser.add_argument("--client", choices=("auto", "wrk", "own"), default="auto", help="auto: wrk where it is")
    parser.add_argument("--triton", type=Path, metavar="FOLDER", help="of `triton_real.py fetch`; measures it too")
    wanted = parser.parse_args()
    if wanted.client == "wrk" and not has_wrk():
        parser.error("wrk is not installed: --client own needs nothing")
    return run("bench_serving", lambda: everything(wanted), show)


if __name__ == "__main__":
    sys.exit(main())
