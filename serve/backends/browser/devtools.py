"""Chromium without a screen, driven over a pipe of its own by the DevTools protocol; nothing of it stays behind.

The protocol: chromedevtools.github.io/devtools-protocol. No port is opened, so nobody else can drive it.
"""

import json
import os
import select
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import gettempdir, mkdtemp
from typing import Any, Self, TypeVar

from wgan.serve.backends.browser.found import MEND, find_browser, no_browser
from wgan.serve.base.errors import BackendError, BackendUnavailable
from wgan.serve.base.foreign_json import parse_json

PATIENCE = 60.0  # seconds for what takes none of them on a machine that is not busy
FLAGS = (
    "--headless", "--disable-gpu", "--remote-debugging-pipe", "--no-first-run", "--no-default-browser-check",
    # nothing is asked of anybody else
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-breakpad",
    "--disable-crash-reporter", "--no-proxy-server", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--disable-dev-shm-usage",  # which a container may have 64 MB of
)  # fmt: skip
PROFILE, LOCK = "wgan-browser-", "held"  # how profiles are called, and the file by which they are held
T = TypeVar("T", bound="Tab")


def new_profile() -> tuple[Path, int | None]:
    """An empty folder for a profile, and what holds it; those that nobody holds any more, of killed processes, go."""
    import fcntl

    for left in Path(gettempdir()).glob(f"{PROFILE}*"):
        with suppress(OSError):
            descriptor = os.open(left / LOCK, os.O_RDWR | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left, ignore_errors=True)
            finally:
                os.close(descriptor)
    folder = Path(mkdtemp(prefix=PROFILE))
    held = os.open(folder / f".{LOCK}", os.O_RDWR | os.O_CREAT, 0o600)
    with suppress(OSError):  # where there are no locks nothing is removed
        fcntl.flock(held, fcntl.LOCK_EX)
        (folder / f".{LOCK}").rename(folder / LOCK)  # found by others once it is held
    return folder, held


class Browser:
    """A browser of its own, with an empty profile. A context manager; `close` ends it and removes the profile.

    Args:
        extra: words for its command line.

    Raises:
        BackendUnavailable: there is none, or it does not start.
    """

    def __init__(self, *extra: str):
        self.events: list[dict[str, Any]] = []
        self._number, self._rest, self.pid = 0, b"", 0
        if (why := no_browser()) is not None:
            raise BackendUnavailable(why, mend=MEND)
        self.program = str(find_browser())
        self.profile, self._lock = new_profile()
        self._ends: list[int] = []
        try:
            self._start(extra)
            self.version = self.ask("Browser.getVersion")["product"].replace("Headless", "").replace("/", " ")
        except BackendError as error:
            self.close()
            raise BackendUnavailable(f"{self.program} does not start: {error}", mend=MEND) from None
        except BaseException:
            self.close()
            raise

    def _start(self, extra: tuple[str, ...]) -> None:
        theirs, self._write = os.pipe()
        self._read, answers = os.pipe()
        self._ends = [theirs, self._write, self._read, answers]
        import fcntl

        # it reads and writes the descriptors 3 and 4: ours are moved out of their way first
        for end in (theirs, answers):
            self._ends.append(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 20))
        given, taken = self._ends[-2:]
        sandbox = ("--no-sandbox",) if os.geteuid() == 0 else ()  # which it refuses to make for root
        words = [self.program, *FLAGS, *sandbox, f"--user-data-dir={self.profile}", *extra, "about:blank"]
        nowhere = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in (0, 1, 2)]
        ends = [(os.POSIX_SPAWN_DUP2, given, 3), (os.POSIX_SPAWN_DUP2, taken, 4)]
        place = str(self.profile)  # its temporary files go with it; but the path of a socket ends at 107 characters
        its = {**os.environ, "TMPDIR": place if len(place) < 60 else "/tmp"}
        try:
            # a group of its own: Ctrl-C is for us, and all of it ends together
            self.pid = os.posix_spawn(self.program, words, its, file_actions=[*nowhere, *ends], setpgroup=0)
        except OSError as error:
            raise BackendError(error.strerror or str(error)) from None
        for end in (theirs, answers, given, taken):
            os.close(end)
            self._ends.remove(end)

    def ask(
        self, method: str, session: str | None = None, patience: float = PATIENCE, **parameters: Any
    ) -> dict[str, Any]:
        """What the browser answers to a command of the protocol.

        Raises:
            BackendError: it has ended, refuses, or gives no answer for ``patience`` seconds.
        """
        self._number += 1
        asked = {"id": self._number, "method": method, "params": parameters}
        try:
            os.write(self._write, json.dumps(asked | ({"sessionId": session} if session else {})).encode() + b"\0")
        except OSError:
            raise BackendError("the browser has ended") from None
        end = time.monotonic() + patience
        while True:
            told = self._next(end, patience)
            if told.get("id") == self._number:
                if "error" in told:
                    raise BackendError(f"the browser refuses {method}: {told['error'].get('message')}")
                return dict(told["result"])
            if told.get("method") == "Inspector.targetCrashed" and told.get("sessionId") == session:
                raise BackendError("the page crashed, as it does where memory runs out")
            self.events.append(told)

    def _next(self, end: float, patience: float) -> dict[str, Any]:
        poll = select.poll()
        poll.register(self._read, select.POLLIN)
        pieces = [self._rest]
        while b"\0" not in pieces[-1]:
            if not poll.poll(max(0.0, end - time.monotonic()) * 1000):
                self._rest = b"".join(pieces)
                raise BackendError(f"the browser gave no answer for {patience:.0f} s")
            part = os.read(self._read, 1 << 20)
            if not part:
                raise BackendError("the browser has ended")
            pieces.append(part)
        told, _, self._rest = b"".join(pieces).partition(b"\0")
        return dict(parse_json(told))

    @contextmanager
    def tab(self, kind: type[T]) -> Iterator[T]:
        """An empty page in a session of its own: no cookies, caches or workers of others."""
        context = self.ask("Target.createBrowserContext")["browserContextId"]
        try:
            target = self.ask("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
            tab = kind(self, self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"])
            for domain in ("Page", "Runtime", "Log", "Inspector"):
                tab.ask(f"{domain}.enable")
            yield tab
        finally:
            with suppress(BackendError):
                self.ask("Target.disposeBrowserContext", browserContextId=context)

    def close(self) -> None:
        """Ends the browser, all its processes, and removes its profile. A second call does nothing."""
        if self.pid:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)  # the profile is thrown away: there is nothing to save
            with suppress(ChildProcessError):
                os.waitpid(self.pid, 0)
            self.pid = 0
        for end in self._ends:
            os.close(end)
        self._ends = []
        for _ in range(20):  # the last of its processes may still write
            shutil.rmtree(self.profile, ignore_errors=True)
            if not self.profile.exists():
                break
            time.sleep(0.05)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Tab:
    """One page of a browser."""

    def __init__(self, browser: Browser, session: str):
        self._browser, self._session = browser, session

    def ask(self, method: str, patience: float = PATIENCE, **parameters: Any) -> dict[str, Any]:
        """A command to this page. Raises BackendError as `Browser.ask`."""
        return self._browser.ask(method, self._session, patience, **parameters)

    def open(self, url: str) -> None:
        """Goes to this address, and is back when the document is there."""
        told = self.ask("Page.navigate", url=url)
        if "errorText" in told:
            raise BackendError(f"the browser cannot open {url}: {told['errorText']}")
        self.wait("document.readyState === 'complete'")

    def get(self, script: str, patience: float = PATIENCE) -> Any:
        """The value of an expression of JavaScript, or what it promises.

        Raises:
            BackendError: it throws.
        """
        told = self.ask(
            "Runtime.evaluate", patience, expression=script, awaitPromise=True, returnByValue=True, userGesture=True
        )
        if "exceptionDetails" in told:
            thrown = told["exceptionDetails"]
            text = str(thrown.get("exception", {}).get("description") or thrown.get("text"))
            raise BackendError(" ".join(text.split())[:300])
        return told["result"].get("value")

    def wait(self, condition: str) -> None:
        """Until this expression holds. Raises BackendError after a while."""
        end = time.monotonic() + PATIENCE
        while not self.get(f"Boolean({condition})"):
            if time.monotonic() > end:
                raise BackendError(f"{condition} does not come to hold: {self.get('document.body.innerText')}")
            time.sleep(0.02)

    @property
    def complaints(self) -> list[str]:
        """What the console had to say: breaches of the policy, errors, requests that failed."""
        mine = [event for event in self._browser.events if event.get("sessionId") == self._session]
        logged = [event["params"]["entry"]["text"] for event in mine if event["method"] == "Log.entryAdded"]
        thrown = [event["params"] for event in mine if event["method"] == "Runtime.exceptionThrown"]
        return logged + [json.dumps(one["exceptionDetails"]) for one in thrown]
