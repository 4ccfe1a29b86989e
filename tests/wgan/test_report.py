"""`wgan report`: the page of a run written again, or one that compares runs."""

import json
import shutil
from pathlib import Path

import pytest

from tests.training.report.test_report import run as one_run  # noqa: F401
from wgan.cli import main


@pytest.fixture
def runs(one_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:  # noqa: F811
    """A folder to stand in, with two runs, of which `demo` is the newer."""
    folder = tmp_path / "runs"
    folder.mkdir()
    shutil.copytree(one_run, folder / "older")
    shutil.move(one_run, folder / "demo")
    (folder / "demo/config.yaml").touch()
    monkeypatch.chdir(tmp_path)
    return folder


def test_the_newest_runs_page_is_written_again(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report"]) == 0
    assert capsys.readouterr().out == f"report: {Path('runs/demo/report.html')}\n"
    assert "WGAN-GP run · demo" in (runs / "demo/report.html").read_text("utf-8")
    assert not (runs / "older/report.html").exists()


@pytest.mark.parametrize("words", [["runs/older"], ["--run", "runs/older"]])
def test_a_run_is_named_and_its_page_laid_elsewhere(
    runs: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", *words, "--out", "page.html", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["report"] == "page.html"
    assert found["runs"] == [
        {"run": "runs/older", "best": None, "last": {"step": 200, "checkpoint": "last", "scores": {"swd": 30.0}}}
    ]
    assert "WGAN-GP run · older" in Path("page.html").read_text("utf-8")


def test_several_runs_are_compared(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "runs/demo", "runs/older"]) == 0
    assert capsys.readouterr().out == f"report: {Path('runs/comparison.html')}\n"
    assert "2 runs compared" in (runs / "comparison.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "nowhere is no run folder (it has no config.yaml)"),
        (["runs/demo", "--out", "page.pdf"], "--out page.pdf is not the name of an .html file"),
        (["runs/demo", "--out", "runs"], "--out runs is not the name of an .html file"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    runs: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_without_any_run_it_says_how_to_make_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["report"]) == 2
    assert "wgan train" in capsys.readouterr().err
