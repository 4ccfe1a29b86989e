"""The tables of formats and backends: every row is whole, and a backend that is added to them works everywhere."""

import inspect
import json
import time
import tomllib
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests import ROOT
from tests.fakes import backend as fake_backend
from wgan.cli import main
from wgan.commands import bench
from wgan.export.formats import triton
from wgan.export.recipe import EXPORTERS
from wgan.serve.artifacts import formats, packed
from wgan.serve.artifacts.find import find_artifact
from wgan.serve.artifacts.formats import BACKENDS, CHECKPOINT, FORMATS, BackendRow, Format
from wgan.serve.backends.base import Options
from wgan.serve.backends.open import open_any, open_backend
from wgan.serve.base.errors import ArtifactError, BackendUnavailable, ConfigError
from wgan.serve.bench import side_by_side

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EVERY_FORMAT = [*FORMATS.values(), CHECKPOINT]
every_backend = pytest.mark.parametrize("row", BACKENDS.values(), ids=lambda row: row.name)


def test_endings_and_names_tell_formats_apart() -> None:
    for values in ([row.ending for row in EVERY_FORMAT], [row.name for row in EVERY_FORMAT]):
        assert len(set(values)) == len(values)
    assert all(row.ending == row.ending.lower() and row.ending.startswith(".") for row in EVERY_FORMAT)


@pytest.mark.parametrize("row", EVERY_FORMAT, ids=lambda row: row.name)
def test_every_format_is_found_by_its_ending_and_is_run_by_a_backend(row: Format) -> None:
    assert formats.format_by_ending(Path(f"any{row.ending.upper()}")) is row
    assert formats.format_named(row.name) is row
    assert formats.backends_of(row.name)
    assert row.precisions[0] == "fp32"


@pytest.mark.parametrize("row", FORMATS.values(), ids=lambda row: row.name)
def test_every_format_keeps_its_metadata_and_its_digest(row: Format, tiny_export: Path) -> None:
    path = tiny_export / row.file
    if row.container.folder:
        data = packed.archive({"b": b"2", "a/a": b"1"})
        assert row.container.split(data) == (None, packed.digest(data))
        return
    if row.container.beside:
        assert row.container.join(b"payload", b"text") == b"payload"
        assert row.container.split(b"payload")[0] is None
        return
    text, digest = row.container.split(path.read_bytes())
    assert text is not None
    assert json.loads(text)["payload_sha256"] == digest
    assert json.loads(text)["format"] == row.name


def test_every_format_has_an_exporter_and_triton_serves_known_ones() -> None:
    assert list(EXPORTERS) == list(FORMATS)
    assert set(triton.FORMATS_OF.values()) <= set(FORMATS)


@every_backend
def test_every_backend_is_whole(row: BackendRow) -> None:
    assert set(row.formats) <= {row.name for row in EVERY_FORMAT}
    assert row.formats
    assert set(row.devices) <= {"cpu", "cuda"}
    assert row.devices
    assert set(row.options) <= set(vars(Options()))
    assert row.extras or row.name == "browser"  # which no package brings
    assert set(row.extras) <= set(PROJECT["project"]["optional-dependencies"])


@every_backend
def test_every_path_names_what_takes_the_arguments_that_it_gets(row: BackendRow) -> None:
    for path, count in ((row.opens, 4), (row.verdict, 2), (row.opens_foreign, 3)):
        if path is not None:
            inspect.signature(row.load(path)).bind(*range(count))


def test_a_package_that_is_not_there_is_named_with_the_extra_that_brings_it() -> None:
    row = BackendRow("other", ("onnx",), ("cpu",), ("onnx",), "absent_package.module:opens", "absent_package:verdict")
    with pytest.raises(BackendUnavailable, match=r"the other backend needs absent_package: .*pip install .*\[onnx\]"):
        row.load(row.opens)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> BackendRow:
    """A backend that is in the table alone."""
    monkeypatch.setitem(BACKENDS, "fake", fake_backend.ROW)
    return fake_backend.ROW


def test_an_added_backend_is_found_and_opened(fake: BackendRow, tiny_export: Path) -> None:
    model = tiny_export / "generator.onnx"
    assert find_artifact(model, None, "fake") == (model, "fake")
    assert find_artifact(model, None, None) == (model, "onnx")  # the first that runs it
    with open_backend(model, backend="fake", options=Options(threads=2)) as backend:
        assert isinstance(backend, fake_backend.FakeBackend)
        assert backend.threads == 2
    with pytest.raises(ConfigError, match=r"--backend fake cannot run .*\.ts, which is for torchscript"):
        find_artifact(tiny_export / "generator.ts", None, "fake")
    with pytest.raises(ConfigError, match=r"--backend fake cannot run .*\.pt, which is for torch$"):
        open_backend(tiny_export / "generator.pt", backend="fake")
    with pytest.raises(ConfigError, match=r"--backend trt cannot run .*, which is for onnx or fake"):
        open_backend(model, backend="trt")
    with pytest.raises(ConfigError, match=r"--provider is for the onnx backend, and .*\.onnx is run by fake"):
        open_backend(model, backend="fake", options=Options("cpu"))


def test_an_added_backend_is_not_given_the_files_of_others(fake: BackendRow, tiny_export: Path, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.onnx"
    model = onnx.load(tiny_export / "generator.onnx")
    del model.metadata_props[:]
    onnx.save(model, foreign)
    with pytest.raises(ArtifactError, match="carries no wgan metadata"):
        open_any(foreign, backend="fake")
    with open_any(foreign) as backend:
        assert backend.assumes is not None


def test_an_added_backend_samples(
    fake: BackendRow, tiny_export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "a.npy"
    model = str(tiny_export / "generator.onnx")
    assert main(["sample", "--backend", "fake", "--model", model, "-n", "8", "--out", str(out), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["backend"], found["device"]) == ("fake", "cpu")
    assert set(np.unique(np.load(out))) == {0, 255}


def test_an_added_backend_takes_the_runs_own_file_where_none_is_named(
    fake: BackendRow, tiny_export: Path, tmp_path: Path
) -> None:
    assert find_artifact(None, tiny_export.parent, "fake") == (tiny_export / "generator.onnx", "fake")
    with pytest.raises(ArtifactError, match=r"no .*generator\.onnx: run `wgan export --format onnx --run .*` first"):
        find_artifact(None, tmp_path, "fake")


def test_doctor_lists_an_added_backend(fake: BackendRow, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--backend", "fake"]) == 0
    text = capsys.readouterr().out
    assert "fake 1.0 on cpu" in text
    assert text.rstrip().endswith("fake runs here")


def test_bench_measures_an_added_backend(
    fake: BackendRow,
    tiny_export: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # another process would have another table
    monkeypatch.setattr(side_by_side, "run_apart", lambda _module, words: bench.case(*words, repr(time.time())))
    words = ["bench", "--model", str(tiny_export / "generator.onnx"), "--batch-sizes", "2", "--seconds", "0.01"]
    words += ["--device", "cpu", "--out", str(tmp_path / "b.html"), "--json"]
    assert main([*words, "--backends", "fake"]) == 0
    assert [row["backend"] for row in json.loads(capsys.readouterr().out)["rows"]] == ["fake"]
    assert main(words) == 0  # without a choice, by everything that runs the file
    assert [row["backend"] for row in json.loads(capsys.readouterr().out)["rows"]] == ["onnx", "fake"]
    assert main([*words, "--backends", "faked"]) == 2
    assert "--backend faked is not one of onnx, torchscript, trt, torch, browser, fake" in capsys.readouterr().err
