"""An exported page in a browser without a screen: ONNX Runtime Web as WebAssembly, on one thread of the CPU."""

import re
from html import escape, unescape
from importlib.resources import files

import numpy as np

from wgan.serve.artifacts import packed
from wgan.serve.artifacts.artifact import Artifact
from wgan.serve.backends.base import Backend, Options
from wgan.serve.backends.browser.devtools import Browser, Tab
from wgan.serve.backends.browser.loopback import Loopback
from wgan.serve.backends.memory import runtime_failure
from wgan.serve.base.errors import BackendError, BackendUnavailable

PROVIDER = "wasm"
OPENING, RUNNING = 300.0, 1800.0  # seconds at most
_POLICY = re.compile(r'http-equiv="?Content-Security-Policy"?\s+content="([^"]*)"', re.IGNORECASE)


class BrowserBackend(Backend):
    """The worker of an exported page, asked as the page asks it."""

    name, device, provider = "browser", "cpu", PROVIDER
    steady_batch = 1

    def __init__(self, artifact: Artifact):
        super().__init__(artifact.metadata, artifact.metadata.payload_sha256, artifact.path)
        self.browser: Browser | None = None
        try:
            content = packed.files_of(artifact.data)
        except packed.NotPacked as error:
            raise BackendError(f"{artifact.path}: {error}") from None
        policy = policy_of(content.get("index.html", b"").decode("utf-8", "replace"))
        page = f'<!doctype html><meta charset="utf-8">{policy}<script src=".harness.js"></script>'
        content |= {packed.METADATA: artifact.metadata.to_json().encode(), ".harness.html": page.encode()}
        script = (files(__package__) / "harness.js").read_bytes()
        self._served = Loopback({**content, ".harness.js": script})
        try:
            self.browser = Browser()
            self._context = self.browser.tab(Tab)
            self.tab = self._context.__enter__()
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        assert self.browser is not None
        version = self.browser.version
        self.measured_with = {"browser": version, "provider": PROVIDER}
        self.notice = f"the page runs in {version}, without a screen"
        try:
            self.tab.open(f"{self._served.url}.harness.html")
            self.tab.get(f"harness.opened('{PROVIDER}')", OPENING)
        except BackendUnavailable:
            raise
        except BackendError as error:
            raise BackendError(f"{version} cannot open {self.path}: {error}") from None

    def _infer(self, z: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        if self.browser is None:
            raise BackendError("the browser is closed")
        image, served = self.metadata.image, self._served
        served.files[".z"] = z.astype("<f4", copy=False).tobytes()
        served.files[".labels"] = b"" if labels is None else labels.astype("<i8", copy=False).tobytes()
        kind = np.dtype(image.dtype)
        served.taken, served.most = None, len(z) * int(np.prod(image.shape)) * kind.itemsize
        try:
            given = self.tab.get(f"harness.ran({'false' if labels is None else 'true'})", RUNNING)
        except BackendError as error:
            raise runtime_failure(self.browser.version, RuntimeError(str(error)), len(z)) from None
        wanted = {"float32": "Float32Array", "uint8": "Uint8Array"}[image.dtype]
        if given != wanted or served.taken is None or len(served.taken) != served.most:
            raise BackendError(f"{self.path} gave {given}, its metadata says {image.dtype} {(len(z), *image.shape)}")
        return np.frombuffer(served.taken, kind).reshape(len(z), *image.shape)

    def close(self) -> None:
        """Ends the browser and the server. A second call does nothing."""
        if self.browser is not None:
            self.browser.close()
        self.browser = None
        self._served.close()


def open_browser(artifact: Artifact, device: str, _options: Options, _trusted: bool) -> Backend:
    """An `Opener`."""
    if device == "cuda":
        raise BackendUnavailable("the browser backend runs on the CPU alone: use --device cpu")
    return BrowserBackend(artifact)


def policy_of(page: str) -> str:
    """What the exported page may do, in its own words, for a page that asks its worker: it may do no more.

    But for trusted types, for which the page has a script of its own.
    """
    found = _POLICY.search(page)
    directives = unescape(found[1]).split(";") if found else []
    kept = [one.strip() for one in directives if "trusted-types" not in one]
    return f'<meta http-equiv="Content-Security-Policy" content="{escape("; ".join(kept))}">'
