"""The exported worker in Chromium: WebGPU, which software stands in for, and threads where a host allows them."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.make import make_generator
from wgan.export import exporter
from wgan.export.formats.web import ort_web
from wgan.serve.backends.browser import devtools
from wgan.serve.backends.browser.devtools import Browser, Tab
from wgan.serve.backends.browser.found import no_browser

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(no_browser() is not None, reason=str(no_browser())),
    pytest.mark.skipif(ort_web.cached() is None, reason="no ONNX Runtime Web: `python scripts/web_runtime.py`"),
]
SOFTWARE = ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan")
ISOLATED = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}
HAS_WEBGPU = "navigator.gpu?.requestAdapter().then(Boolean) ?? false"
CHECKED = """
    (async () => {
      const worker = new Worker("worker.js", { type: "module" });
      const ask = (message) => new Promise((done) => {
        worker.onmessage = ({ data }) => done(data);
        worker.onerror = ({ message }) => done({ error: message });
        worker.postMessage({ id: 1, ...message });
      });
      const { error, provider } = await ask({ kind: "open", provider: "%s" });
      if (error !== undefined) return { error };
      const { check } = await import("./check.js");
      const look = (label, truncation, truncationKind) => ({ label, truncation, truncationKind });
      const draw = async (seeds, ...rest) => (await ask({ kind: "draw", seeds, ...look(...rest) })).pixels;
      return { ...(await check(draw)), provider, isolated: crossOriginIsolated };
    })()
"""


@contextmanager
def host(folder: Path, headers: dict[str, str]) -> Iterator[str]:
    """A static host of this folder that sends these headers too."""

    class Handler(SimpleHTTPRequestHandler):
        extensions_map = {**SimpleHTTPRequestHandler.extensions_map, ".mjs": "text/javascript"}  # noqa: RUF012

        def end_headers(self) -> None:
            for name, value in headers.items():
                self.send_header(name, value)
            super().end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    def made(precision: str = "fp32", **changes: Any) -> Path:
        folder = tmp_path_factory.mktemp("pages")
        (exported,) = exporter.export(make_generator(**changes), folder, ["web"], precision=precision)
        return exported.path

    return made


def checked(tab: Tab, folder: Path, provider: str, headers: dict[str, str] | None = None) -> dict[str, Any]:
    """What `check` finds with this provider, or the error of its opening."""
    with host(folder, headers or {}) as url:
        tab.open(f"{url}model.json")
        return dict(tab.get(CHECKED % provider, 120))


@pytest.fixture
def with_webgpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[Tab]:
    monkeypatch.setattr(devtools, "FLAGS", tuple(flag for flag in devtools.FLAGS if flag != "--disable-gpu"))
    with Browser(*SOFTWARE) as browser, browser.tab(Tab) as tab:
        with host(Path(__file__).parent, {}) as url:  # an address on this machine is secure, about:blank is not
            tab.open(f"{url}{Path(__file__).name}")
            if not tab.get(HAS_WEBGPU):
                pytest.skip("this Chromium has no WebGPU by software")
        yield tab


def test_webgpu_draws_the_pixels_of_pytorch(with_webgpu: Tab, export: Callable[..., Path]):
    folder = export(classes=("a", "b", "c"), conditional=True, generator_labels="batchnorm")
    found = checked(with_webgpu, folder, "webgpu")
    assert (found.get("error"), found.get("provider"), found.get("passed")) == (None, "webgpu", True)
    assert found["levels"] <= found["allowed"] == 1


def test_webgpu_without_16_bit_floats_says_so(with_webgpu: Tab, export: Callable[..., Path]):
    if with_webgpu.get("navigator.gpu.requestAdapter().then((one) => one.features.has('shader-f16'))"):
        pytest.skip("this Chromium has them")
    folder = export(precision="fp16")
    assert checked(with_webgpu, folder, "webgpu") == {"error": "this browser's WebGPU has no 16-bit floats"}


def test_threads_draw_the_same_pixels_and_no_webgpu_is_said(export: Callable[..., Path]):
    folder = export()
    with Browser() as browser, browser.tab(Tab) as tab:
        found = checked(tab, folder, "wasm", ISOLATED)
        assert (found["isolated"], found["passed"], found["levels"]) == (True, True, 0)
        assert checked(tab, folder, "webgpu") == {"error": "this browser has no WebGPU adapter"}
