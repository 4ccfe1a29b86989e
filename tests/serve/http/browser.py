"""Pages in Chromium without a screen, as a visitor uses them: they are asked, clicked and written into."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wgan.serve.backends.browser import devtools
from wgan.serve.backends.browser.devtools import Tab
from wgan.serve.backends.browser.found import find_browser

CHROMIUM = find_browser()


class Browser(devtools.Browser):
    """A browser. `page` opens one page after another, each with an empty session."""

    @contextmanager
    def page(self, url: str, *, width: int = 1280, features: dict[str, str] | None = None) -> "Iterator[Page]":
        """This address in a page of a session of its own, ``features`` as style sheets ask for them."""
        with self.tab(Page) as page:
            page.ask(
                "Emulation.setDeviceMetricsOverride", width=width, height=844, deviceScaleFactor=1, mobile=width < 600
            )
            listed = [{"name": name, "value": value} for name, value in (features or {}).items()]
            page.ask("Emulation.setEmulatedMedia", features=listed)
            page.open(url)
            yield page


class Page(Tab):
    """One page."""

    def text(self, selector: str) -> str:
        """What an element says."""
        return str(self.get(f"document.querySelector({json.dumps(selector)}).textContent"))

    def click(self, selector: str) -> None:
        """As by a mouse."""
        self.get(f"document.querySelector({json.dumps(selector)}).click()")

    def press(self, key: str) -> None:
        """A key that writes nothing, where the focus is."""
        codes = {"Enter": 13, "Escape": 27, "ArrowLeft": 37, "ArrowRight": 39}
        shared = {"key": key, "code": key, "windowsVirtualKeyCode": codes[key]}
        self.ask("Input.dispatchKeyEvent", type="keyDown", **shared, **({"text": "\r"} if key == "Enter" else {}))
        self.ask("Input.dispatchKeyEvent", type="keyUp", **shared)

    def write(self, selector: str, text: str) -> None:
        """Into a field, in place of what is there."""
        self.get(f"document.querySelector({json.dumps(selector)}).select()")
        self.ask("Input.insertText", text=text)

    def choose(self, selector: str, words: str) -> None:
        """The option of these words."""
        self.get(
            f"(() => {{ const field = document.querySelector({json.dumps(selector)});"
            f"field.value = [...field.options].find((one) => one.text === {json.dumps(words)}).value;"
            'field.dispatchEvent(new Event("change", { bubbles: true })); })()'
        )


@contextmanager
def browsing(_folder: Path) -> Iterator[Browser]:
    """A browser with a profile of its own."""
    with Browser() as browser:
        yield browser
