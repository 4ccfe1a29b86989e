"""An exported page in a real Chromium: measured, sampled, and nothing left behind, however it ends."""

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.make import make_generator
from wgan.cli import main
from wgan.export import exporter
from wgan.export.formats.web import ort_web
from wgan.export.recipe import file_name
from wgan.serve.artifacts import artifact, packed
from wgan.serve.artifacts.artifact import Artifact
from wgan.serve.backends.base import Backend, Options
from wgan.serve.backends.browser.backend import BrowserBackend, open_browser
from wgan.serve.backends.browser.devtools import Browser, Tab
from wgan.serve.backends.browser.found import find_browser, no_browser
from wgan.serve.backends.open import open_backend
from wgan.serve.base.errors import BackendError, BackendUnavailable
from wgan.serve.latents.table import latents
from wgan.serve.outputs.pixels import as_pixels

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(no_browser() is not None, reason=str(no_browser())),
    pytest.mark.skipif(ort_web.cached() is None, reason="no ONNX Runtime Web: `python scripts/web_runtime.py`"),
]
CLASSES = ("blue", "red", "</script>")
KINDS = {  # of export: classes, precision, output
    "plain": (None, "fp32", "float32"),
    "classes": (CLASSES, "fp32", "float32"),
    "half": (CLASSES, "fp16", "float32"),
    "pixels": (None, "fp32", "uint8"),
}


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The exported page of this kind, made once."""
    folder, made = tmp_path_factory.mktemp("pages"), {}

    def of(kind: str) -> Path:
        if kind not in made:
            classes, precision, output = KINDS[kind]
            words = {"precision": precision, "output": output, "max_batch": 9}
            (made[kind],) = exporter.export(make_generator(classes=classes), folder / kind, ["web"], **words)  # type: ignore[arg-type]
        return made[kind].path

    return of


def processes_of(browser: Browser) -> list[str]:
    """The commands of the processes that hold the browser's profile."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode("utf-8", "replace")
        except OSError:
            continue
        if browser.profile.name in words:
            found.append(words)
    return found


def gone(browser: Browser) -> bool:
    """Whether nothing of it is left, waited for generously."""
    end = time.monotonic() + 30
    while (processes_of(browser) or browser.profile.exists()) and time.monotonic() < end:
        time.sleep(0.05)
    return not processes_of(browser) and not browser.profile.exists()


def browser_of(backend: Backend) -> Browser:
    assert isinstance(backend, BrowserBackend)
    assert backend.browser is not None
    return backend.browser


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_is_measured_in_the_browser_and_draws_what_the_onnx_file_draws(
    export: Callable[[str], Path], kind: str, tmp_path: Path
) -> None:
    path = export(kind)
    classes, precision, output = KINDS[kind]
    assert path.name == file_name("web", precision, output)
    report = dict(artifact.read(path).metadata.parity or {})
    assert report["passed"] is True
    assert report["device"] == "cpu"
    assert report["browser"].startswith("Chrom")
    assert report["provider"] == "wasm"
    assert max(report["batches"]) == 9
    graph = tmp_path / "generator.onnx"
    graph.write_bytes((path / "generator.onnx").read_bytes())  # an artifact by itself
    z, labels = latents(7, 9, 16), None if classes is None else np.arange(7, 16) % len(classes)
    with open_backend(path, backend="browser") as browser, open_backend(graph) as onnx:
        found, wanted = (as_pixels(backend.run(z, labels)).astype(int) for backend in (browser, onnx))
        assert np.abs(found - wanted).max() <= 1
        assert browser.notice is not None
        assert "Chrom" in browser.notice
        assert onnx.metadata.proven
        assert browser.run(z[:1], None if labels is None else labels[:1]).shape == (1, *browser.metadata.image.shape)
        driven = browser_of(browser)
    assert gone(driven)


def test_sample_and_verify_run_it(
    export: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "export"
    shutil.copytree(export("classes").parent, folder)
    model, out = str(folder / "generator.web"), tmp_path / "a.npy"
    assert main(["sample", "--model", model, "-n", "5", "--out", str(out)]) == 0
    assert "(seeds 0 to 4)" in capsys.readouterr().out
    assert np.load(out).shape == (5, 32, 32, 3)
    page = artifact.read(folder / "generator.web")
    artifact.write_sidecar(page.path, page.metadata.replace(parity={"passed": None, "reason": "no browser"}))
    assert main(["sample", "--model", model, "-n", "1", "--out", str(out)]) == 0
    assert "was not measured against PyTorch where it was made" in capsys.readouterr().err.replace("\n", " ")
    assert main(["verify", "--model", str(folder), "--format", "web"]) == 0
    assert "holds" in capsys.readouterr().out
    assert artifact.read(page.path).metadata.proven  # from now on
    shutil.rmtree(folder)


def test_a_browser_that_is_killed_is_an_error_of_one_line(export: Callable[[str], Path]) -> None:
    with open_backend(export("plain")) as backend:
        browser = browser_of(backend)
        os.killpg(browser.pid, signal.SIGKILL)
        with pytest.raises(BackendError, match="failed: the browser has ended") as caught:
            backend.run(latents(0, 2, 16))
        assert "\n" not in str(caught.value)
    assert gone(browser)


def test_nothing_is_left_where_the_work_is_broken_off(export: Callable[[str], Path]) -> None:
    started: list[Browser] = []

    def broken_off() -> None:
        with backend:
            started.append(browser_of(backend))
            assert processes_of(started[0])
            raise KeyboardInterrupt

    backend = open_backend(export("plain"))
    with pytest.raises(KeyboardInterrupt):
        broken_off()
    assert gone(started[0])
    with pytest.raises(BackendError, match="is closed"):
        backend.run(latents(0, 2, 16))


def changed(path: Path, **files: bytes) -> Artifact:
    """The artifact with other files, read as if it had been exported so."""
    read = artifact.read(path)
    content = packed.files_of(read.data) | {name.replace("__", "."): data for name, data in files.items()}
    return Artifact(path, read.metadata, packed.archive(content))


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"worker__js": b"throw new Error('no\\nsuch worker')"}, "cannot open .*no such worker"),
        ({"worker__js": b"import './none.js'"}, "cannot open .*the worker cannot be loaded"),
        ({"generator__onnx": b"no graph"}, "cannot open "),
    ],
    ids=["throws", "does not load", "no graph"],
)
def test_a_page_that_does_not_start_is_an_error_of_one_line(
    export: Callable[[str], Path], files: dict[str, bytes], words: str
) -> None:
    with pytest.raises(BackendError, match=words) as caught:
        open_browser(changed(export("plain"), **files), "auto", Options(), False)
    assert "\n" not in str(caught.value)


def test_a_page_whose_policy_forbids_its_own_worker_is_not_run(export: Callable[[str], Path]) -> None:
    page = b"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src 'self'\">"
    with pytest.raises(BackendError, match="cannot open"):
        open_browser(changed(export("plain"), index__html=page.replace(b"'self'", b"'none'")), "auto", Options(), False)


def test_a_page_gets_nothing_from_elsewhere() -> None:
    with Browser() as browser, browser.tab(Tab) as tab, pytest.raises(BackendError, match="cannot open"):
        tab.open("http://example.org/")


@pytest.fixture
def short() -> Iterator[Path]:
    """A temporary folder with a name that leaves room for a socket's."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def test_what_a_killed_process_left_goes_with_the_next_browser(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(short))
    left = short / "wgan-browser-left"
    left.mkdir()
    (left / "held").touch()
    others = short / "wgan-browser-others"  # just made: nothing says yet whose it is
    others.mkdir()
    with Browser() as one, Browser() as other:
        assert not left.exists()
        assert one.profile.is_dir()  # which is held, by the first
        assert {path.name for path in short.iterdir()} == {one.profile.name, other.profile.name, others.name}
    assert list(short.iterdir()) == [others]  # the browser's own temporary files went with it


def test_cuda_is_refused(export: Callable[[str], Path]) -> None:
    with pytest.raises(BackendUnavailable, match="on the CPU alone: use --device cpu"):
        open_backend(export("plain"), device="cuda")


def test_another_program_is_no_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WGAN_BROWSER", "/bin/true")
    with pytest.raises(BackendUnavailable, match=r"/bin/true does not start: .* has ended: install Chromium"):
        Browser()
    monkeypatch.setenv("WGAN_BROWSER", str(find_browser.__name__))
    with pytest.raises(BackendUnavailable, match="WGAN_BROWSER=find_browser is no program: install Chromium"):
        Browser()
