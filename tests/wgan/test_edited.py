"""Every command with a file that a tool changed: run where it was named, refused where it would go unseen."""

import json
import shutil
from pathlib import Path

import pytest

import wgan
from tests import edits
from tests.edits import beside_its_generator
from wgan.cli import main
from wgan.serve.artifacts import artifact
from wgan.training.report.data import _artifacts
from wgan.training.report.parity import artifacts


@pytest.fixture
def changed(here: Path, tiny_export: Path) -> Path:
    """A changed file in the working folder, beside its generator, and no run."""
    beside_its_generator(tiny_export, here, edits.half)
    return Path("generator.onnx")


def test_sample_runs_a_changed_file_that_is_named_after_a_line(
    changed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sample", "-n", "2", "--model", str(changed), "--out", "a.npy"]) == 0
    said = capsys.readouterr().err.splitlines()
    assert said[0] == (
        "generator.onnx was changed since its export (or damaged), and not measured since: "
        "`wgan verify --model generator.onnx` shows what that costs"
    )
    assert said[-1] == "next: wgan verify --adopt --model generator.onnx"
    assert main(["sample", "-n", "2", "--model", str(changed), "--out", "b.npy", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["precision"] == "fp16"
    assert found["edited"]["exported_precision"] == "fp32"
    assert "not measured since" in found["assumes"]


def test_once_adopted_it_is_an_artifact_that_says_it_was_edited(
    changed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", "--model", str(changed), "--adopt"]) == 0
    assert "this report is in it now: an artifact again" in capsys.readouterr().out
    assert main(["sample", "-n", "2", "--model", str(changed), "--out", "a.npy"]) == 0
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith(
        "generator.onnx was edited after its export and measured again: computes in fp16, worst PS"
    )
    assert said[-1] == "next: wgan bench --model generator.onnx"
    assert main(["verify", "--model", str(changed), "--adopt"]) == 0
    assert "generator.onnx was not changed since its export: nothing to adopt" in capsys.readouterr().err


def test_an_edit_that_does_not_hold_exits_1_and_nothing_is_written(
    here: Path, tiny_export: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = beside_its_generator(tiny_export, here, edits.weights)
    before = path.read_bytes()
    assert main(["verify", "--model", "generator.onnx", "--adopt"]) == 1
    shown = capsys.readouterr()
    assert "FAILS" in shown.out
    assert "generator.onnx does not hold: nothing is written into it" in shown.err
    assert path.read_bytes() == before


def test_verify_says_in_json_what_was_changed(changed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, wanted in ((["--adopt"], (False, True)), ([], (False, False))):
        if words:
            assert main(["verify", "--model", str(changed), "--json"]) == 0
            (row,) = json.loads(capsys.readouterr().out)["artifacts"]
            assert (row["changed"], row["adopted"], row["precision"]) == (True, False, "fp16")
        assert main(["verify", "--model", str(changed), *words, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        (row,) = found["artifacts"]
        assert (row["changed"], row["adopted"]) == wanted
        assert row["edited"]["exported_precision"] == "fp32"
        assert found["passed"] is True


def test_the_generator_may_be_named(here: Path, tiny_export: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edits.doc_string(tiny_export / "generator.onnx", here / "moved.onnx")
    assert main(["verify", "--model", "moved.onnx"]) == 2
    assert "name it with --reference" in capsys.readouterr().err
    assert main(["verify", "--model", "moved.onnx", "--reference", str(tiny_export / "generator.pt"), "--adopt"]) == 0
    assert artifact.read(here / "moved.onnx").metadata.proven


def test_a_runs_own_export_is_not_run_once_it_was_changed(
    run: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = run / "export" / "generator.onnx"
    edits.doc_string(path, path)
    refusal = "was changed since its export (or damaged): `wgan verify --adopt --model"
    assert main(["sample", "-n", "2", "--out", "a.npy"]) == 2
    assert refusal in capsys.readouterr().err
    assert main(["eval", "-n", "16", "--inception-weights", "none", "--data", "faces"]) == 2
    assert refusal in capsys.readouterr().err
    with pytest.raises(wgan.ArtifactError, match="was changed since its export"):
        wgan.load(run)
    assert not list(here.glob("a.*"))


def test_serve_refuses_a_changed_file_in_one_line(changed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--model", str(changed), "--port", "0"]) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("wgan: ")]
    assert len(said) == 1
    assert "`wgan verify --adopt --model generator.onnx`" in said[0]


@pytest.mark.usefixtures("bench_in_this_process")
def test_bench_refuses_a_changed_file_in_one_line(changed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--model", str(changed), "--seconds", "0.01"]) == 2
    assert "`wgan verify --adopt --model generator.onnx`" in capsys.readouterr().err


def test_triton_refuses_a_changed_file(changed: Path, tmp_path: Path) -> None:
    from wgan.export.formats.triton.repository import write_repository
    from wgan.export.formats.triton.settings import Settings

    with pytest.raises(wgan.ArtifactError, match="wgan verify --adopt"):
        write_repository(changed, tmp_path / "triton", Settings())


@pytest.mark.slow
def test_eval_takes_changed_and_adopted_ones(changed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["eval", "-n", "16", "--model", str(changed), "--data", "faces", "--inception-weights", "none", "--json"]
    assert main(words) == 0
    shown = capsys.readouterr()
    before = json.loads(shown.out)
    assert "not measured since" in shown.err
    assert main(["verify", "--model", str(changed), "--adopt"]) == 0
    capsys.readouterr()
    assert main(words) == 0
    shown = capsys.readouterr()
    assert "was edited after its export and measured again" in shown.err
    after = json.loads(shown.out)
    assert before["precision"] == after["precision"] == "fp16"
    assert before["swd"] == after["swd"]


def test_from_python_the_same(changed: Path, tiny_export: Path) -> None:
    with pytest.warns(UserWarning, match="was changed since its export"), wgan.load(changed) as generator:
        first = generator.sample(2)
    (row,) = wgan.verify(changed, reference=tiny_export / "generator.pt", adopt=True)
    assert row.passed
    assert "edited after its export; was fp32" in wgan.verify(changed)._repr_html_()
    with pytest.warns(UserWarning, match="was edited after its export"), wgan.load(changed) as generator:
        assert (generator.sample(2) == first).all()


def test_a_runs_report_shows_what_was_changed(run: Path) -> None:
    path = run / "export" / "generator.onnx"
    edits.half(path, path)
    shutil.rmtree(run / "export" / "generator.ts", ignore_errors=True)
    page = artifacts(_artifacts(run / "export"))
    assert "changed since its export, or damaged: wgan verify measures it" in page
    assert "edited after its export; was fp32" in page


def test_a_seed_is_one_image_though_the_graph_quantises_by_its_batch(here: Path, tiny_export: Path) -> None:
    path = beside_its_generator(tiny_export, here, edits.dynamic)
    assert wgan.verify(path, adopt=True).passed
    with pytest.warns(UserWarning, match="computes in int8"):
        loaded = wgan.load(path)
    with loaded as generator:
        many = generator.sample(5)
        assert (many[3] == generator.sample(1, seed=3)[0]).all()
