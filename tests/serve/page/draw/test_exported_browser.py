"""The exported page in a browser: it draws by its worker, checks, keeps itself, and says what goes wrong."""

import base64
import io
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.serve.http.browser import CHROMIUM, Browser, Page, browsing
from tests.serve.http.described.test_page_browser import DRAWN as LISTED
from tests.serve.http.described.test_page_browser import LARGE as OPENED
from tests.serve.http.described.test_page_browser import TRAVELLED, painted
from tests.serve.page.draw.folder import DIGEST, LATER, Host, assemble, drawn, hosting

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")]

NAMES = ("red", "<img src=x onerror=alert(1)>", "\u202eevil", "x" * 200, "😀")
SHAPE = (8, 8, 3)
PATIENCE = 60.0  # seconds for what takes none of them on a machine that is not busy
DRAWN = f'{LISTED} && [...document.querySelectorAll("#gallery img")].every((one) => one.naturalWidth)'
LARGE = f'{OPENED} && document.getElementById("large-image").naturalWidth'
CHECKED = 'document.getElementById("engine-status").textContent.includes("hecked here")'
KEPT = 'document.getElementById("kept").textContent.startsWith("Kept")'
NO_ADAPTER = "No available adapters."  # which Chromium says of a machine without a GPU
# keeps what the page may not fetch again
BLOBS = """
globalThis.blobs = {};
const make = URL.createObjectURL.bind(URL);
URL.createObjectURL = (blob) => {
  const made = make(blob);
  blobs[made] = blob;
  return made;
};
"""
GPU = "Object.defineProperty(navigator, 'gpu', { value: { requestAdapter: async () => ({}) } });"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browsing(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with hosting(assemble(tmp_path_factory.mktemp("host") / "web", NAMES)) as host:
        yield host


@contextmanager
def page_with(browser: Browser, url: str, script: str) -> Iterator[Page]:
    """A page where a script runs before its own."""
    with browser.page("about:blank") as page:
        page.ask("Page.addScriptToEvaluateOnNewDocument", source=script)
        page.open(url)
        yield page


def opaque(pixels: np.ndarray) -> np.ndarray:
    """With full alpha: (H, W, 3) → (H, W, 4)."""
    return np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)])


def file_of(page: Page) -> Image.Image:
    """The PNG that the large image's button saves."""
    text = page.get(
        "blobs[document.getElementById('save').href].arrayBuffer().then((all) => new Uint8Array(all).toBase64())"
    )
    return Image.open(io.BytesIO(base64.b64decode(text)))


def test_it_draws_as_the_worker_does_and_names_are_text(browser: Browser, host: Host) -> None:
    with browser.page(f"{host.url}?first=9&n=8") as page:
        page.wait(DRAWN)
        assert page.text("#status") == "8 images, seeds 9 to 16."
        for i in (0, 7):
            shown = painted(page, f"#gallery li:nth-child({i + 1}) img")
            assert np.array_equal(shown, opaque(drawn(9 + i, SHAPE, 5)))
        options = page.get('[...document.getElementById("label").options].map((one) => one.text)')
        assert options == ["each its own", *NAMES[:2], "\\u202eevil", *NAMES[3:]]
        page.choose("#label", NAMES[1])
        page.choose("#kind", "scaled")
        page.wait(f'{DRAWN} && document.getElementById("status").textContent.startsWith("8 images")')
        page.get('document.querySelectorAll("#gallery .open")[1].click()')
        page.wait(LARGE)
        assert page.text("#large-title") == f"Seed 10, {NAMES[1]}"
        assert np.array_equal(painted(page, "#large-image"), opaque(drawn(10, SHAPE, 5, label=1, plus=107)))
        assert page.get('document.querySelectorAll("img[onerror], script:not([src])").length') == 0
        assert set(page.complaints) <= {NO_ADAPTER}
        page.get("new Promise((done) => { const image = new Image(); image.onerror = done; image.src = '/x.png'; })")
        assert "Content Security Policy" in "".join(page.complaints)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_downloaded_file_has_the_pixels_exactly_and_says_what_it_is(
    browser: Browser, tmp_path: Path, channels: int
) -> None:
    shape = (5, 9, channels)
    folder = assemble(tmp_path / "web", ("a", "b"), shape=shape)
    address = "?seed=7&n=2&truncation=1&first=3"
    with hosting(folder) as host, page_with(browser, f"{host.url}{address}", BLOBS) as page:
        page.wait(f"{LARGE} && {DRAWN}")
        image = file_of(page)
        pixels = np.asarray(image).reshape(shape)
        assert np.array_equal(pixels, drawn(7, shape, 2, plus=10))
        assert image.text == {
            "model": DIGEST, "backend": "browser on cpu", "precision": "fp32", "truncation": "truncated 1.0",
            "seed": "7", "label": "1",
        }  # fmt: skip
        assert page.get('document.getElementById("save").download') == "seed-000007.png"
        assert set(page.complaints) <= {NO_ADAPTER}


def test_a_link_holds_all_and_the_way_is_drawn(browser: Browser, host: Host) -> None:
    address = f"{host.url}?first=0&n=8&from=1&to=4&steps=8&label={NAMES[0]}&truncation=0.7&model={DIGEST[:16]}"
    with browser.page(address, features={"prefers-reduced-motion": "reduce"}) as page:
        page.wait(f"{TRAVELLED} && {DRAWN}")
        assert np.array_equal(painted(page, "#frame"), opaque(drawn(1, SHAPE, label=0, plus=7)))
        page.get('(at.value = 8, at.dispatchEvent(new Event("input")))')
        assert np.array_equal(painted(page, "#frame"), opaque(drawn(4, SHAPE, label=0, plus=7)))
        assert painted(page, "#strip").shape == (8, 64, 4)
        assert page.text("#status") == "8 images, seeds 0 to 7."
        page.open(f"{host.url}?seed=3&model=0123456789abcdef")
        page.wait(f"{LARGE} && {DRAWN}")
        assert "another model than this page has now" in page.text("#status")
        assert f"model={DIGEST[:16]}" in page.get('document.getElementById("share").value')


def test_the_first_comes_first_and_what_nobody_waits_for_is_not_drawn(browser: Browser, tmp_path: Path) -> None:
    folder = assemble(tmp_path / "web", trouble={"slow": 100})
    with hosting(folder) as host, browser.page(f"{host.url}?first=0&n=24") as page:
        page.wait('document.querySelector("#gallery img[src]")')
        assert page.get('document.querySelectorAll("#gallery img[src]").length') < 20
        assert page.get('document.querySelector("#gallery li img").hasAttribute("src")')
        assert page.get("performance.getEntriesByName('first-image').length") == 1
        page.write("#first", "1000")
        page.press("Enter")
        page.wait('document.getElementById("status").textContent === "24 images, seeds 1000 to 1023."')
        assert np.array_equal(painted(page, "#gallery li img"), opaque(drawn(1000, SHAPE)))
        assert not page.get('document.getElementById("failure").hidden === false')


@pytest.mark.parametrize(
    ("expected", "words", "off"),
    [
        (0, "2 images equal PyTorch’s, pixel for pixel.", False),
        (1, "2 images equal PyTorch’s within 1 level of 255.", False),
        (5, "2 images checked here differ from PyTorch’s by up to 5 levels of 255.", True),
    ],
)
def test_it_says_whether_this_browsers_pixels_are_pytorchs(
    browser: Browser, tmp_path: Path, expected: int, words: str, off: bool
) -> None:
    folder = assemble(tmp_path / "web", expected=expected)  # modulo 256 none of these wraps
    with hosting(folder) as host, browser.page(f"{host.url}?first=0&n=8") as page:
        page.wait(CHECKED if not off else '!document.getElementById("off").hidden')
        assert words in page.text("#engine-status")
        assert page.text("#engine-status").startswith("Drawn in this browser, by WebAssembly.")
        assert page.get('document.getElementById("off").hidden') is not off
        assert ("in this browser, off" if off else "in this browser, checked") in page.text("#facts")
        assert "1.5" in page.text("#facts")  # the parity of wgan.json


def test_webgpu_takes_over_behind_the_first_images_and_can_be_chosen(browser: Browser, tmp_path: Path) -> None:
    with (
        hosting(assemble(tmp_path / "web")) as host,
        page_with(browser, f"{host.url}?first=0&n=8", GPU + BLOBS) as page,
    ):
        page.wait('document.getElementById("engine-status").textContent.includes("by WebGPU. Checked")')
        assert "WebGPU" in page.text("#facts")
        page.write("#first", "500")
        page.press("Enter")
        page.wait(f'{DRAWN} && document.getElementById("status").textContent.includes("500 to 507")')
        page.get('document.querySelector("#gallery .open").click()')
        page.wait(LARGE)
        assert file_of(page).text["backend"] == "browser on webgpu"
        page.press("Escape")
        page.choose("#provider", "WebAssembly")
        page.wait('document.getElementById("engine-status").textContent.includes("by WebAssembly. Checked")')
        page.open(host.url)
        page.wait(CHECKED)
        page.wait('!document.getElementById("provider").disabled')
        assert page.get('document.getElementById("provider").value') == "wasm"  # remembered
        assert "by WebAssembly" in page.text("#engine-status")
        end = time.monotonic() + PATIENCE
        while not all(f"/{name}" in host.asked for name in LATER):  # kept, now that they were used
            assert time.monotonic() < end
            time.sleep(0.02)


@pytest.mark.parametrize(
    ("trouble", "script", "words"),
    [
        (
            {"off": "webgpu"},
            GPU,
            "WebGPU does not draw here. Its pixels differ from PyTorch’s by up to 3 levels of 255.",
        ),
        ({"closed": "webgpu"}, GPU, "no room on this GPU"),
        ({}, GPU + "Object.defineProperty(navigator, 'connection', { value: { saveData: true } });", "save data"),
        ({}, GPU.replace("({})", "({ info: { isFallbackAdapter: true } })"), "as no GPU is behind it here"),
    ],
)
def test_webgpu_that_is_not_right_or_not_wanted_leaves_webassembly_and_a_line(
    browser: Browser, tmp_path: Path, trouble: dict[str, Any], script: str, words: str
) -> None:
    folder = assemble(tmp_path / "web", trouble=trouble)
    with hosting(folder) as host, page_with(browser, f"{host.url}?first=0&n=8", script) as page:
        page.wait(f'document.getElementById("engine-status").textContent.includes({json.dumps(words)})')
        assert page.text("#engine-status").startswith("Drawn in this browser, by WebAssembly.")


def test_once_loaded_it_draws_without_a_network(browser: Browser, tmp_path: Path) -> None:
    assemble(tmp_path / "below" / "a place" / "web", NAMES)
    with hosting(tmp_path) as host:
        url = f"{host.url}below/a%20place/web/"
        with browser.page(f"{url}?first=0&n=8") as page:
            page.wait(f"{DRAWN} && {KEPT}")
            host.stop.set()
            for again in (f"{url}?seed=5&first=90", f"{url}index.html?first=90"):
                page.open("about:blank")
                page.open(again)
                page.wait(DRAWN)
                assert "seeds 90 to 113" in page.text("#status")
            assert np.array_equal(painted(page, "#gallery li img"), opaque(drawn(90, SHAPE, 5)))
            assert "1.5" in page.text("#facts")


def test_a_replaced_folder_takes_over_whole_at_the_next_load(browser: Browser, tmp_path: Path) -> None:
    folder = assemble(tmp_path / "web", name="old")
    with hosting(folder) as host, browser.page(host.url) as page:
        page.wait(f"{DRAWN} && {KEPT}")
        page.open(host.url)
        page.wait(f"{DRAWN} && {KEPT}")
        assert page.text("h1") == "old"
        assemble(folder, shape=(4, 4, 3), name="new")
        page.open(host.url)
        page.wait('document.getElementById("kept").textContent.startsWith("There is a newer version")')
        assert page.text("h1") == "old"
        assert painted(page, "#gallery li img").shape == (8, 8, 4)
        page.open(host.url)
        page.wait(f'{DRAWN} && document.querySelector("h1").textContent === "new"')
        assert painted(page, "#gallery li img").shape == (4, 4, 4)
        page.wait(KEPT)
        assert page.get("caches.keys().then((all) => all.length)") == 1


def test_a_file_that_is_not_the_versions_is_not_kept(browser: Browser, tmp_path: Path) -> None:
    folder = assemble(tmp_path / "web")
    (folder / "check.js").write_text((folder / "check.js").read_text() + "\n// an older one\n")
    with hosting(folder) as host, browser.page(host.url) as page:
        page.wait('document.getElementById("kept").textContent.startsWith("Not kept")')


@pytest.mark.parametrize("missing", ["worker.js", "model.json", "generator.onnx"])
def test_a_missing_file_is_named(browser: Browser, tmp_path: Path, missing: str) -> None:
    folder = assemble(tmp_path / "web", trouble={"closed": "wasm"})
    (folder / missing).unlink()
    counted = """
      globalThis.made = 0;
      const Real = Worker;
      globalThis.Worker = function (...all) { made += 1; return new Real(...all); };
    """
    with hosting(folder) as host, page_with(browser, host.url, counted) as page:
        page.wait('!document.getElementById("failure").hidden')
        assert page.get("made") == 1  # nobody asks a dead one again
        assert "about to be checked" not in page.get("document.body.innerText")
        assert f"issing beside this page: {missing}." in page.text("#failure-words") or (
            f"{missing} is missing beside this page" in page.text("#failure-words")
        )


def test_too_many_at_once_for_its_memory_are_drawn_one_by_one(browser: Browser, tmp_path: Path) -> None:
    folder = assemble(tmp_path / "web", trouble={"most": 1})
    with hosting(folder) as host, browser.page(f"{host.url}?first=0&n=8") as page:
        page.wait('document.getElementById("status").textContent === "8 images, seeds 0 to 7."')
        page.get('(from.value = 1, to.value = 2, document.getElementById("go").click())')
        page.wait('document.getElementById("way-status").textContent.includes("ran out of memory")')


def test_opened_as_a_file_it_says_how_to_serve_it(browser: Browser, tmp_path: Path) -> None:
    folder = assemble(tmp_path / "web")
    with browser.page((folder / "index.html").as_uri()) as page:
        page.wait('document.body.innerText.includes("python -m http.server")')


@pytest.mark.parametrize("kind", ["scripts off", "no page.js", "no WebAssembly"])
def test_where_it_cannot_run_it_says_so(browser: Browser, tmp_path: Path, kind: str) -> None:
    folder = assemble(tmp_path / "web")
    if kind == "no page.js":
        (folder / "page.js").unlink()
    with hosting(folder) as host, browser.page("about:blank") as page:
        if kind == "scripts off":
            page.ask("Emulation.setScriptExecutionDisabled", value=True)
        if kind == "no WebAssembly":
            page.ask("Page.addScriptToEvaluateOnNewDocument", source="delete globalThis.WebAssembly;")
        page.open(host.url)
        words = {"scripts off": "your browser runs none", "no page.js": "page.js", "no WebAssembly": "no WebAssembly"}
        page.wait(f"document.body.innerText.includes({json.dumps(words[kind])})")
        assert ("First seed" in page.get("document.body.innerText")) is False


def test_nothing_is_asked_of_anybody_else(browser: Browser, host: Host) -> None:
    with browser.page("about:blank") as page:
        page.ask("Network.enable")
        page.ask("Target.setAutoAttach", autoAttach=True, waitForDebuggerOnStart=True, flatten=True)
        heard, after = len(browser.events), 0.0
        page.ask("Page.navigate", url=f"{host.url}?first=0&n=8&from=1&to=2")
        end = time.monotonic() + PATIENCE
        while not after or time.monotonic() < after:
            assert time.monotonic() < end
            for event in browser.events[heard:]:
                if event["method"] == "Target.attachedToTarget" and event["params"]["waitingForDebugger"]:
                    event["params"]["waitingForDebugger"] = False
                    session = event["params"]["sessionId"]
                    if event["params"]["targetInfo"]["type"] == "worker":
                        browser.ask("Network.enable", session)
                    browser.ask("Runtime.runIfWaitingForDebugger", session)
            if not after and page.get(f"Boolean({DRAWN} && {TRAVELLED} && {CHECKED} && {KEPT})"):
                after = time.monotonic() + 0.5
            time.sleep(0.02)
        sent = [one for one in browser.events[heard:] if one["method"] == "Network.requestWillBeSent"]
        urls = {one["params"]["request"]["url"] for one in sent}
        assert any(url.endswith("shape.json") for url in urls)  # the worker is heard too
        assert {url for url in urls if not url.startswith((host.url, f"blob:{host.url}"))} == set()


@pytest.mark.parametrize(("width", "theme"), [(390, "light"), (390, "dark"), (1280, "dark")])
def test_it_fits_a_phone_and_can_be_touched(browser: Browser, host: Host, width: int, theme: str) -> None:
    features = {"prefers-color-scheme": theme}
    with browser.page(f"{host.url}?first=0&n=8&from=1&to=2", width=width, features=features) as page:
        page.wait(f"{DRAWN} && {TRAVELLED} && {CHECKED}")
        assert page.get("document.documentElement.scrollWidth - innerWidth") <= 0
        if width < 600:
            small = page.get(
                '[...document.querySelectorAll("button, select, input, a.button")]'
                ".map((one) => [one.id || one.className, one.getBoundingClientRect()])"
                ".filter(([, box]) => box.width && Math.min(box.width, box.height) < 36).map(([name]) => name)"
            )
            assert small == []
        page.get('document.querySelector("#gallery .open").click()')
        page.wait(LARGE)
        assert page.get("document.documentElement.scrollWidth - innerWidth") <= 0


def test_it_needs_no_storage_no_clipboard_and_no_service_worker(browser: Browser, host: Host) -> None:
    script = """
      delete Navigator.prototype.serviceWorker;
      Object.defineProperty(globalThis, "localStorage", { get() { throw new Error("not allowed"); } });
      Object.defineProperty(navigator, "clipboard", { value: undefined });
      document.addEventListener("copy", () => { globalThis.taken = String(document.activeElement.value); });
    """
    with page_with(browser, f"{host.url}?seed=7&n=2", script) as page:
        page.wait(f"{LARGE} && {DRAWN} && {CHECKED}")
        page.click("#copy-share")
        page.wait('document.getElementById("copy-share").textContent === "Copied"')
        link = page.get("globalThis.taken")
        assert link == page.get('document.getElementById("share").value')
        assert link.startswith(f"{host.url}?seed=7&model=")
        assert page.text("#kept").startswith("Not kept for use without a network")
        page.wait('!document.getElementById("provider").disabled')
        page.choose("#provider", "WebAssembly")  # nothing is kept, and nothing breaks
        assert set(page.complaints) <= {NO_ADAPTER}


def test_everything_to_touch_has_a_name_and_the_dialog_keeps_the_focus(browser: Browser, host: Host) -> None:
    roles = {"button", "textbox", "combobox", "slider", "image", "link", "dialog", "status", "alert", "listitem"}
    with browser.page(f"{host.url}?first=0&n=2&from=0&to=1") as page:
        page.wait(f"{DRAWN} && {TRAVELLED}")

        def named() -> dict[str, set[str]]:
            nodes = page.ask("Accessibility.getFullAXTree")["nodes"]
            found: dict[str, set[str]] = {}
            for node in nodes:
                role = node.get("role", {}).get("value")
                if not node["ignored"] and role in roles:
                    found.setdefault(role, set()).add(node.get("name", {}).get("value", ""))
            return found

        before = named()
        for role in ("button", "textbox", "combobox", "slider", "image"):
            assert before.get(role, {""}) - {""} == before.get(role), role
        assert {"First seed", "From seed", "To seed"} <= before["textbox"]
        assert {"Images", "Class", "Truncation", "Steps", "Drawn by"} <= before["combobox"]
        page.get('document.querySelector("#gallery .open").click()')
        page.wait(LARGE)
        inside = named()
        assert inside["dialog"] == {"Seed 0, red"}
        assert "" not in inside["button"]
        for _ in range(12):
            for kind in ("keyDown", "keyUp"):
                page.ask("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)
            within = "document.activeElement === document.body || large.open && "
            assert page.get(within + 'document.getElementById("large").contains(document.activeElement)')
