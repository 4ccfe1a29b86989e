"""The files of an exported page, made without a browser and without ONNX Runtime Web's real files."""

import hashlib
import json
import re
from base64 import b64decode
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.make import make_generator, make_run
from wgan.cli import main
from wgan.export import exporter
from wgan.export.exporter import Exported
from wgan.export.formats.web import ort_web
from wgan.export.recipe import ALL
from wgan.serve.artifacts import artifact, packed
from wgan.serve.artifacts.artifact import Artifact
from wgan.serve.backends.browser.backend import policy_of
from wgan.serve.backends.onnxrt.backend import OnnxBackend
from wgan.serve.latents.table import latents
from wgan.serve.outputs.pixels import to_uint8
from wgan.serve.page.draw.files import exported as exported_page

RUNTIME = {name: f"// {name}".encode() for name in ort_web.FILES}
CLASSES = ("blue", "</script><script>alert(1)</script>", "naïve 🙂")


@pytest.fixture(autouse=True)
def no_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WGAN_BROWSER", "no-such-browser")
    monkeypatch.setattr("wgan.export.recipe.ort_web", lambda given: RUNTIME)


def exported(folder: Path, classes: tuple[str, ...] | None = None, **choices: Any) -> Exported:
    (made,) = exporter.export(make_generator(classes=classes), folder, ["web"], max_batch=9, **choices)
    return made


def test_without_a_browser_the_page_is_made_and_the_reason_kept(tmp_path: Path) -> None:
    made = exported(tmp_path)
    assert made.path == tmp_path / "generator.web"
    assert made.passed is None
    assert made.metadata.max_batch == 9
    kept = artifact.read(made.path).metadata.parity
    assert kept == {"passed": None, "reason": "WGAN_BROWSER=no-such-browser is no program"}


def test_every_file_that_the_page_needs_is_there_and_known_to_its_service_worker(tmp_path: Path) -> None:
    path = exported(tmp_path).path
    names = {file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()}
    assert {"index.html", "page.css", "page.js", "worker.js", "latents.js", "sw.js", "check.json"} <= names
    assert {f"ort/{name}" for name in RUNTIME} < names
    told = (path / "sw.js").read_text("utf-8")
    listed = dict(re.findall(r'"([^"]+)": "([0-9a-f]{64})"', told))
    assert set(listed) == names - {"sw.js", "wgan.json"}
    for name, digest in listed.items():
        assert hashlib.sha256((path / name).read_bytes()).hexdigest() == digest
    assert "Microsoft" in (path / "ort" / "LICENSE.txt").read_text("utf-8")
    assert ort_web.VERSION in (path / "ort" / "LICENSE.txt").read_text("utf-8")


def test_what_the_page_shows_is_what_the_artifact_says(tmp_path: Path) -> None:
    path = exported(tmp_path, CLASSES).path
    told = json.loads((path / "model.json").read_bytes())
    graph = artifact.read(path / "generator.onnx")
    assert told["digest"] == graph.metadata.payload_sha256
    assert told["classes"] == list(CLASSES)
    assert told["latent"]["dim"] == 16
    assert told["image"] == {"height": 32, "width": 32, "channels": 3, "dtype": "float32"}
    assert told["parity"] is None  # which is in wgan.json
    assert graph.metadata.proven
    assert b"<script>alert" not in (path / "index.html").read_bytes()


@pytest.mark.parametrize(("classes", "precision", "levels"), [(CLASSES, "fp32", 1), (None, "fp16", 7)])
def test_the_pixels_that_the_page_checks_are_pytorchs(
    tmp_path: Path, classes: tuple[str, ...] | None, precision: str, levels: int
) -> None:
    path = exported(tmp_path, classes, precision=precision).path
    told = json.loads((path / "check.json").read_bytes())
    pixels = np.frombuffer(b64decode(told["pixels"]), np.uint8).reshape(-1, *told["shape"])
    count = len(told["seeds"])
    assert told["seeds"] == [str(seed) for seed in range(count)]
    assert count == 4
    labels = None if classes is None else np.arange(count) % len(classes)
    with OnnxBackend(artifact.read(path / "generator.onnx"), "cpu") as backend:
        drawn = to_uint8(backend.run(latents(0, count, 16), labels))
    assert told["levels"] == levels
    assert np.abs(drawn.astype(int) - pixels).max() <= levels


def test_few_pixels_are_checked_where_images_are_large_and_every_class_where_they_are_many(tmp_path: Path) -> None:
    many = tuple(f"class {number}" for number in range(100))
    assert len(json.loads((exported(tmp_path, many).path / "check.json").read_bytes())["seeds"]) == 16


def test_the_same_generator_gives_the_same_bytes(tmp_path: Path) -> None:
    def payload(folder: Path) -> Artifact:
        return artifact.read(exported(folder, CLASSES).path)

    one, other = payload(tmp_path / "one"), payload(tmp_path / "other")
    files, others = packed.files_of(one.data), packed.files_of(other.data)
    assert {name for name, content in files.items() if content != others[name]} == set()


@pytest.fixture
def run(here: Path) -> Path:
    export = here / "made"
    exported(export)
    return make_run(here / "runs" / "one", export)


def test_verify_says_that_nothing_could_be_measured_and_why(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--format", "web"]) == 2
    told = capsys.readouterr()
    assert "not run" in told.out
    assert "nothing could be measured here: " in told.err
    assert "WGAN_BROWSER=no-such-browser is no program: install Chromium" in told.err


def test_verify_of_another_format_finds_nothing(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--format", "onnx"]) == 2
    assert "no onnx exported in runs/one/export: run `wgan export --format onnx --run runs/one` first" in (
        capsys.readouterr().err
    )
    assert main(["verify", "--format", "jpeg"]) == 2
    assert "--format jpeg is not one of onnx," in capsys.readouterr().err
    assert main(["verify", "--format", "onnx", "--model", "runs/one/export/generator.web"]) == 2
    assert "--format onnx is not the format of runs/one/export/generator.web" in capsys.readouterr().err


def test_the_server_refuses_a_page_and_says_what_serves_it(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--model", "runs/one/export/generator.web"], ["--backend", "browser"]):
        assert main(["serve", *words]) == 2
        told = capsys.readouterr().err
        assert "`python -m http.server -b 127.0.0.1 -d runs/one/export/generator.web`" in told
        assert "`wgan serve --model runs/one/export/generator.web/generator.onnx`" in told


def test_sampling_needs_the_browser(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", "-n", "2", "--backend", "browser"]) == 2
    assert "WGAN_BROWSER=no-such-browser is no program: install Chromium" in capsys.readouterr().err


def test_all_formats_are_those_that_nothing_must_be_fetched_for() -> None:
    assert "web" not in ALL
    assert {"onnx", "torchscript", "trt"} <= set(ALL)


def test_the_runtimes_file_is_for_pages_alone(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "--format", "onnx", "--web-runtime", "a.tgz"]) == 2
    assert "--web-runtime is for `wgan export --web-runtime a.tgz --format web`" in capsys.readouterr().err


def test_an_export_ends_with_the_command_that_serves_the_page(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["export", "--format", "web", "--checkpoint", "runs/one/export/generator.pt", "--out", "my pages"]
    assert main([*words, "--max-batch", "4"]) == 0
    told = capsys.readouterr()
    assert "next: python -m http.server -b 127.0.0.1 -d 'my pages/generator.web'\n" in told.err
    assert "not measured: WGAN_BROWSER=no-such-browser is no program" in told.out


def test_the_page_is_measured_under_its_own_policy() -> None:
    told = policy_of(exported_page()["index.html"])
    assert "script-src &#x27;self&#x27; &#x27;wasm-unsafe-eval&#x27;; worker-src &#x27;self&#x27;" in told
    assert "default-src &#x27;none&#x27;" in told
    assert "trusted" not in told
