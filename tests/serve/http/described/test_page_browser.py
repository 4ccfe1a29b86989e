"""The page in a browser: it draws, enlarges, links and travels, asks for a token, and waits where it is refused."""

import io
import json
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from tests.fakes.generator import FakeGenerator, SlowGenerator
from tests.serve.http.browser import CHROMIUM, Browser, Page, browsing
from tests.serve.http.serving import Serving, serving
from wgan.serve.artifacts.metadata import ImageSpec, Latent
from wgan.serve.http.limits.settings import Settings

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")]

CLASSES = ("red", "blue", "<b>green</b>")
DRAWN = 'document.querySelectorAll("#gallery img[src]").length && !document.querySelector("#gallery .loading")'
LARGE = 'document.querySelector("#large[open] #save[href]")'
TRAVELLED = '!document.getElementById("way-shown").hidden'


class Shaped(FakeGenerator):
    """8×8 images of so many channels."""

    def __init__(self, channels: int):
        super().__init__()
        latent = Latent(64 * channels)
        self.metadata = self.metadata.replace(latent=latent, image=ImageSpec(8, 8, channels))

    def _infer(self, z: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        return np.clip(z.reshape(len(z), -1, 8, 8) / 4, -1, 1)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browsing(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture(scope="module")
def server() -> Iterator[Serving]:
    with serving(FakeGenerator(CLASSES)) as server:
        yield server


def painted(page: Page, selector: str) -> np.ndarray:
    """The pixels of an image or a canvas of the page, uint8 (H, W, 4)."""
    values = page.get(
        f"(() => {{ const of = document.querySelector({json.dumps(selector)});"
        "const canvas = document.createElement('canvas');"
        "[canvas.width, canvas.height] = [of.naturalWidth ?? of.width, of.naturalHeight ?? of.height];"
        "const context = canvas.getContext('2d'); context.drawImage(of, 0, 0);"
        "return [canvas.height, canvas.width, ...context.getImageData(0, 0, canvas.width, canvas.height).data]; })()"
    )
    return np.array(values[2:], np.uint8).reshape(values[0], values[1], 4)


def sent(server: Serving, path: str) -> np.ndarray:
    """The pixels of an image as the server sends it, uint8 (H, W, 4)."""
    with server.client() as client:
        return np.asarray(Image.open(io.BytesIO(client.get(path).content)).convert("RGBA"))


def test_it_draws_enlarges_and_gives_a_link_that_shows_the_same_image(browser: Browser, server: Serving) -> None:
    with browser.page(f"{server.url}/?first=9&n=8") as page:
        page.wait(DRAWN)
        assert page.get('document.querySelectorAll("#gallery img[src^=\\"blob:\\"]").length') == 8
        assert page.text("#status") == "8 images, seeds 9 to 16."
        assert page.text("h1") == "fake"
        page.choose("#label", "<b>green</b>")
        page.choose("#kind", "scaled")
        page.wait(DRAWN)
        page.get('document.querySelectorAll("#gallery .open")[1].focus()')
        page.press("Enter")
        page.wait(LARGE)
        page.press("ArrowRight")
        page.wait('document.getElementById("large-title").textContent.startsWith("Seed 11,")')
        page.wait(LARGE)
        assert page.text("#large-title") == "Seed 11, <b>green</b>"
        shown = painted(page, "#large-image")
        address, link = (page.get(f'document.getElementById("{name}").value') for name in ("address", "share"))
        assert address.startswith(f"{server.url}/v1/images/11.png?")
        assert "model=abababababababab" in address
        assert np.array_equal(shown, sent(server, address))
        assert "class<b>" in page.text("#file-facts").replace("red", "")  # of the file itself
        page.press("Escape")
        page.wait('!document.getElementById("large").open && !location.search.includes("seed=")')
        assert page.get("document.activeElement.className") == "open"
        page.open(link)
        page.wait(LARGE)
        assert np.array_equal(painted(page, "#large-image"), shown)
        assert page.complaints == []
        page.get("new Promise((done) => { const image = new Image(); image.onerror = done; image.src = 'data:,'; })")
        assert "Content Security Policy" in "".join(page.complaints)  # which would have been heard


def test_it_goes_from_one_image_to_another(browser: Browser, server: Serving) -> None:
    with browser.page(f"{server.url}/?first=0&n=8", features={"prefers-reduced-motion": "reduce"}) as page:
        page.wait(DRAWN)
        page.get('document.querySelectorAll("#gallery .pick")[1].click()')
        page.get('document.querySelectorAll("#gallery .pick")[4].click()')
        page.wait(TRAVELLED)
        assert page.text("#at-shown") == "1 of 32"  # nothing moves by itself
        assert page.text("#play") == "Play"
        # both ends are of the first one's class
        assert np.array_equal(painted(page, "#frame"), sent(server, "/v1/images/1.png?label=blue"))
        page.get('(at.value = 32, at.dispatchEvent(new Event("input")))')
        assert np.array_equal(painted(page, "#frame"), sent(server, "/v1/images/4.png?label=blue"))
        assert painted(page, "#strip").shape == (8, 64, 4)
        page.open(page.get("location.href"))  # all of it is in the address
        page.wait(f"{TRAVELLED} && {DRAWN}")
        assert page.text("#way-status") == "32 steps from seed 1 to seed 4."
        assert page.complaints == []


@pytest.mark.parametrize(("channels", "clear"), [(1, False), (4, True)])
def test_grey_and_transparent_images_are_shown_as_they_are(browser: Browser, channels: int, clear: bool) -> None:
    address = "?first=9223372036854775806&n=2&from=5&to=6&steps=2"
    still = {"prefers-reduced-motion": "reduce"}
    with (
        serving(Shaped(channels)) as server,
        browser.page(f"{server.url}/{address}", width=390, features=still) as page,
    ):
        page.wait(f"{DRAWN} && {TRAVELLED}")
        assert page.text("#status") == "2 images, seeds 9223372036854775806 to 9223372036854775807."
        off = np.abs(painted(page, "#frame").astype(int) - sent(server, "/v1/images/5.png"))
        assert off[..., 3].max() == 0
        assert channels == 4 or off.max() == 0  # a canvas multiplies colours by alpha
        assert page.get('document.documentElement.classList.contains("clear")') is clear
        assert page.get("document.documentElement.scrollWidth - innerWidth") <= 0
        assert page.complaints == []


def test_it_asks_for_the_token_and_keeps_it_in_the_session_alone(browser: Browser) -> None:
    settings = Settings(tokens=("secret",))
    with serving(FakeGenerator(), settings) as server, browser.page(f"{server.url}/?seed=3") as page:
        page.wait('!document.getElementById("token-form").hidden')
        assert page.get('document.getElementById("failure").hidden')
        for token, then in (("wrong", '!document.getElementById("failure").hidden'), ("secret", f"{LARGE} && {DRAWN}")):
            page.write("#token", token)
            page.press("Enter")
            page.wait(then)
        assert page.get("[JSON.stringify(sessionStorage), localStorage.length, document.cookie]") == [
            '{"wgan-token":"secret"}', 0, ""]  # fmt: skip
        assert "secret" not in page.get("location.href + document.getElementById('share').value")
        page.press("Escape")
        page.click("#forget")
        assert page.get("sessionStorage.length") == 0
        assert page.get('document.getElementById("drawing").hidden')


def test_where_it_is_refused_it_waits_and_then_has_every_image(browser: Browser) -> None:
    backend = SlowGenerator(0.0)
    settings = Settings(queue=1, patience=0.01)
    with serving(backend, settings) as server, browser.page(f"{server.url}/?first=0&n=8") as page:
        backend.open.clear()
        page.open(f"{server.url}/?first=100&n=8")
        page.wait('document.getElementById("waiting").textContent.includes("Trying again")')
        backend.open.set()
        page.wait('document.getElementById("status").textContent === "8 images, seeds 100 to 107."')
        assert page.text("#waiting") == ""


def test_without_scripts_it_says_so(browser: Browser, server: Serving) -> None:
    with browser.page("about:blank") as page:
        page.ask("Emulation.setScriptExecutionDisabled", value=True)
        page.open(server.url)
        assert "your browser runs none" in page.get("document.body.innerText")
        assert "First seed" not in page.get("document.body.innerText")
