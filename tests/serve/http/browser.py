"""Chromium without a screen, driven over its own pipe: pages open, are asked, clicked and written into."""

import fcntl
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PATIENCE = 60.0  # seconds for what takes none of them on a machine that is not busy


class Browser:
    """A browser. `page` opens one page after another, each with an empty session."""

    def __init__(self, write: int, read: int):
        self._write, self._read = write, read
        self._number, self._rest = 0, b""
        self.events: list[dict[str, Any]] = []

    def ask(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """What the browser answers to a command of the DevTools protocol."""
        self._number += 1
        asked = {"id": self._number, "method": method, "params": parameters}
        os.write(self._write, json.dumps(asked | ({"sessionId": session} if session else {})).encode() + b"\0")
        while True:
            told = self._next()
            if told.get("id") == self._number:
                assert "error" not in told, told
                return dict(told["result"])
            self.events.append(told)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            part = os.read(self._read, 1 << 16)
            assert part, "the browser has ended"
            self._rest += part
        told, _, self._rest = self._rest.partition(b"\0")
        return dict(json.loads(told))

    @contextmanager
    def page(self, url: str, *, width: int = 1280, features: dict[str, str] | None = None) -> "Iterator[Page]":
        """This address in a page of a session of its own, ``features`` as style sheets ask for them."""
        context = self.ask("Target.createBrowserContext")["browserContextId"]
        target = self.ask("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, session)
        try:
            for domain in ("Page", "Runtime", "Log"):
                page.ask(f"{domain}.enable")
            page.ask(
                "Emulation.setDeviceMetricsOverride", width=width, height=844, deviceScaleFactor=1, mobile=width < 600
            )
            listed = [{"name": name, "value": value} for name, value in (features or {}).items()]
            page.ask("Emulation.setEmulatedMedia", features=listed)
            page.open(url)
            yield page
        finally:
            self.ask("Target.disposeBrowserContext", browserContextId=context)


class Page:
    """One page."""

    def __init__(self, browser: Browser, session: str):
        self._browser, self._session = browser, session

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A command to this page."""
        return self._browser.ask(method, self._session, **parameters)

    def open(self, url: str) -> None:
        """Goes to this address, and is back when the document is there."""
        assert "errorText" not in self.ask("Page.navigate", url=url)
        self.wait("document.readyState === 'complete'")

    def get(self, script: str) -> Any:
        """The value of an expression of JavaScript, or what it promises."""
        told = self.ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True)
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    def wait(self, condition: str) -> None:
        """Until this expression holds."""
        end = time.monotonic() + PATIENCE
        while not self.get(f"Boolean({condition})"):
            assert time.monotonic() < end, f"{condition} does not come to hold: {self.get('document.body.innerText')}"
            time.sleep(0.02)

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

    @property
    def complaints(self) -> list[str]:
        """What the console had to say: breaches of the policy, errors, requests that failed."""
        mine = [event for event in self._browser.events if event.get("sessionId") == self._session]
        logged = [event["params"]["entry"]["text"] for event in mine if event["method"] == "Log.entryAdded"]
        thrown = [event["params"] for event in mine if event["method"] == "Runtime.exceptionThrown"]
        return logged + [json.dumps(one["exceptionDetails"]) for one in thrown]


@contextmanager
def browsing(folder: Path) -> Iterator[Browser]:
    """A browser whose profile lies in ``folder``."""
    assert CHROMIUM is not None
    ends = [os.pipe(), os.pipe()]
    # far from the numbers 3 and 4, which the browser reads and writes
    theirs = [fcntl.fcntl(ends[0][0], fcntl.F_DUPFD, 20), fcntl.fcntl(ends[1][1], fcntl.F_DUPFD, 20)]
    os.close(ends[0][0])
    os.close(ends[1][1])
    words = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--no-first-run",
        f"--user-data-dir={folder / 'profile'}", "about:blank",
    ]  # fmt: skip
    process = subprocess.Popen(
        ["bash", "-c", f'exec "$@" 3<&{theirs[0]} 4>&{theirs[1]}', "bash", *words],
        pass_fds=theirs,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for end in theirs:
        os.close(end)
    try:
        yield Browser(ends[0][1], ends[1][0])
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        finally:
            os.close(ends[0][1])
            os.close(ends[1][0])
