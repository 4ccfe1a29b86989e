"""The whole of an exported folder as a visitor meets it: seed 7 is seed 7, and once loaded it needs no network."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.make import make_generator
from tests.serve.http.browser import CHROMIUM, Browser, browsing
from tests.serve.http.described.test_page_browser import painted
from tests.serve.page.draw.folder import hosting
from tests.serve.page.draw.test_exported_browser import CHECKED, DRAWN, KEPT, LARGE, NO_ADAPTER
from wgan.export import exporter
from wgan.export.formats.web import ort_web
from wgan.serve.artifacts import artifact
from wgan.serve.backends.onnxrt.backend import OnnxBackend
from wgan.serve.latents.table import latents
from wgan.serve.latents.truncation import Truncation
from wgan.serve.outputs.pixels import to_uint8

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium"),
    pytest.mark.skipif(ort_web.cached() is None, reason="no ONNX Runtime Web: `python scripts/web_runtime.py`"),
]
CLASSES = ("blue", "<b>red</b>", "green")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:  # measured elsewhere
        patch.setenv("WGAN_BROWSER", "no-such-browser")
        (made,) = exporter.export(make_generator(classes=CLASSES), tmp_path_factory.mktemp("web"), ["web"])
    return made.path


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browsing(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


def elsewhere(folder: Path, seed: int, label: int, truncation: Truncation | None = None) -> np.ndarray:
    """The pixels of ONNX Runtime in this process, uint8 (H, W, C)."""
    with OnnxBackend(artifact.read(folder / "generator.onnx"), "cpu") as backend:
        z = latents(seed, 1, backend.metadata.latent.dim)
        images = backend.run(z if truncation is None else truncation(z), np.array([label]))
    return to_uint8(images)[0]


def test_seed_7_in_the_browser_is_seed_7_and_no_network_is_needed_after(browser: Browser, folder: Path) -> None:
    with hosting(folder) as host, browser.page(f"{host.url}?seed=7&n=8") as page:
        page.wait(f"{DRAWN} && {LARGE} && {CHECKED} && {KEPT}")
        assert page.text("#large-title") == "Seed 7, <b>red</b>"  # 7 % 3
        shown = painted(page, "#large-image")[..., :3].astype(int)
        assert np.abs(shown - elsewhere(folder, 7, 1)).max() <= 1
        assert "4 images equal PyTorch’s" in page.text("#engine-status")
        assert set(page.complaints) <= {NO_ADAPTER}
        assert {"/ort/ort.jspi.min.mjs", "/ort/ort-wasm-simd-threaded.jspi.wasm"} & set(host.asked) == set()
        host.stop.set()
        page.open("about:blank")
        page.open(f"{host.url}?seed=9007199254740993&n=8&label=green&truncation=0.7")
        page.wait(f"{DRAWN} && {LARGE}")
        shown = painted(page, "#large-image")[..., :3].astype(int)
        assert np.abs(shown - elsewhere(folder, 9007199254740993, 2, Truncation(0.7, "truncated"))).max() <= 1


def test_every_file_that_the_page_names_is_there(folder: Path) -> None:
    text = (folder / "index.html").read_text("utf-8") + (folder / "page.js").read_text("utf-8")
    named = set(re.findall(r'"((?:ort/)?[\w.-]+\.(?:css|m?js|json|onnx|wasm))"', text))
    assert len(named) > 15
    assert {name for name in named if not (folder / name).is_file()} == set()


def test_a_real_file_that_is_missing_is_named(browser: Browser, folder: Path) -> None:
    missing = folder / "ort" / "ort-wasm-simd-threaded.wasm"
    content = missing.read_bytes()
    missing.unlink()
    try:
        with hosting(folder) as host, browser.page(host.url) as page:
            page.wait('!document.getElementById("failure").hidden')
            words = "Missing beside this page: ort/ort-wasm-simd-threaded.wasm. Copy the whole exported folder."
            assert page.text("#failure-words") == words
    finally:
        missing.write_bytes(content)
