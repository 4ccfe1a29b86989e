"""A folder as `wgan export --format web` makes one, whose worker draws by arithmetic, and a static host of it."""

import functools
import hashlib
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

from tests import ROOT
from wgan.serve.page.draw import files

DIGEST = "ab" * 32
LATER = ("ort/later.wasm",)
LOADED = (  # by a real worker
    *(f"{name}.js" for name in ("answers", "generator", "latents", "pixels", "truncation", "way")),
    *(f"ort/{name}" for name in ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")),
    "generator.onnx",
)
# what every browser must draw, and what `check` makes of it
CHECK = """
export async function check(draw) {
  const { seeds, pixels } = await (await fetch("check.json")).json();
  const found = await draw(BigUint64Array.from(seeds, BigInt), null, null, "truncated");
  const levels = pixels.reduce((most, value, i) => Math.max(most, Math.abs(value - found[i])), 0);
  return { passed: levels <= 1, images: seeds.length, levels, off: 0 };
}
"""


def drawn(
    seed: int, shape: tuple[int, int, int], classes: int = 0, *, label: int | None = None, plus: int = 0
) -> np.ndarray:
    """What the fake worker draws: uint8 (H, W, C). ``plus`` is a truncation's share."""
    own = label if label is not None else seed % classes if classes else 0
    first = seed % 251 + 50 * own + plus
    return ((first + 7 * np.arange(np.prod(shape))) % 241).astype(np.uint8).reshape(shape)


def assemble(
    folder: Path,
    classes: Sequence[str] | None = None,
    *,
    shape: tuple[int, int, int] = (8, 8, 3),
    trouble: dict[str, Any] | None = None,
    expected: int = 0,
    name: str = "generator.web",
) -> Path:
    """The folder. ``trouble`` is the worker's; the check asks for ``expected`` levels more than it draws."""
    height, width, channels = shape
    worker = (ROOT / "tests" / "fakes" / "browser_worker.js").read_text("utf-8")
    (folder / "ort").mkdir(parents=True, exist_ok=True)
    checked = [drawn(seed, shape, len(classes or ())).astype(int) + expected for seed in (0, 1)]
    model = {
        "name": name,
        "digest": DIGEST,
        "format": "web",
        "precision": "fp32",
        "image": {"height": height, "width": width, "channels": channels},
        "classes": classes,
        "origin": {"step": 500, "scores": {}},
        "parity": None,
    }
    texts = {
        **files.exported(),
        "worker.js": f"globalThis.TROUBLE = {json.dumps(trouble or {})};\n{worker}",
        "check.js": CHECK,
        "shape.json": json.dumps({"size": height * width * channels, "classes": len(classes or ())}),
        "check.json": json.dumps({"seeds": ["0", "1"], "pixels": np.ravel(checked).tolist()}),
        "model.json": json.dumps(model),
        **dict.fromkeys((*LOADED, *LATER), "as a real worker loads it"),
    }
    for file, text in texts.items():
        (folder / file).write_text(text, "utf-8")
    digests = {file: hashlib.sha256((folder / file).read_bytes()).hexdigest() for file in texts}
    (folder / "sw.js").write_text(files.service_worker(digests, LATER), "utf-8")
    report = {"passed": True, "max_abs": 1.5e-6, "gates": {"max_abs": 1e-4}}
    (folder / "wgan.json").write_text(json.dumps({"parity": report}), "utf-8")
    return folder


@dataclass
class Host:
    """A static host, as `python -m http.server` is one."""

    url: str
    asked: list[str] = field(default_factory=list)  # paths, in their order
    stop: threading.Event = field(default_factory=threading.Event)


@contextmanager
def hosting(folder: Path) -> Iterator[Host]:
    """The folder on 127.0.0.1, until the host's `stop` is set, or to the end; afterwards it refuses connections."""

    class Handler(SimpleHTTPRequestHandler):
        def log_request(self, *_: Any) -> None:
            if self.command == "GET":
                host.asked.append(self.path)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
    host = Host(f"http://127.0.0.1:{server.server_port}/")

    def end() -> None:
        host.stop.wait()
        server.shutdown()
        server.server_close()

    threads = [threading.Thread(target=target, daemon=True) for target in (server.serve_forever, end)]
    for thread in threads:
        thread.start()
    try:
        yield host
    finally:
        host.stop.set()
        for thread in threads:
            thread.join(30)
