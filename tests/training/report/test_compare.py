"""Runs on one page: what came of each, what was set otherwise, their curves over each other, their grids and parity."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from tests.training.report.test_report import ONNX, Page, pictures
from tests.training.report.test_shipped import run  # noqa: F401
from wgan.training.report.compare import render, write_comparison
from wgan.training.report.data import load


@pytest.fixture
def two(run: Path, tmp_path: Path) -> list[Path]:  # noqa: F811
    other = tmp_path / "good"
    shutil.copytree(run, other)
    config = yaml.safe_load((other / "config.yaml").read_text())
    (other / "config.yaml").write_text(yaml.safe_dump({**config, "lr_g": 0.0001, "conditional": False}))
    shutil.rmtree(other / "checkpoints")
    with (other / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"kind": "validation", "step": 1600, "swd": 20.0, "swd_levels": {"8": 20.0}}) + "\n")
    return [run, other]


def test_runs_are_set_beside_each_other(two: list[Path], tmp_path: Path) -> None:
    source = write_comparison(two, tmp_path / "both.html").read_text("utf-8")
    page = Page(source)
    assert page.titles == ["How near each came", "Settings that differ", "Curves", "Samples"]
    assert "bad best, step 1,130, SWD 24.9 – 24.9 156 1,501" in page.text
    assert "good last, step 1,600, SWD 20.0 – 20.0 20.0 1,600" in page.text
    assert source.count('class="good">20.0') == 1  # the nearest
    assert "conditional true false lr_g – 0.0001" in page.text
    assert "image_size" not in page.text[: page.text.index("Curves")]
    (distance, *_) = map(json.loads, page.data)
    assert [line["name"] for line in distance["lines"]] == ["bad", "good"]
    assert distance["lines"][1]["y"][-1] == 20.0
    assert [image.size for _, image in pictures(source, "png")] == [(42, 42), (42, 42)]


def test_runs_of_one_name_stay_apart_and_other_data_are_not_compared(two: list[Path]) -> None:
    first, second = (load(path, [ONNX]) for path in (two[0], two[0]))
    page = Page(render([first, second]))
    assert "bad (2)" in page.text
    assert "All settings are the same." in page.text
    assert page.titles[-2:] == ["Artifacts and parity: bad", "Artifacts and parity: bad (2)"]
    (two[1] / "run.json").write_text(json.dumps({"data": "emoji"}))
    (two[0] / "run.json").write_text(json.dumps({"data": "faces"}))
    source = render([load(path) for path in two])
    assert "their distances do not compare" in source
    assert 'class="good">20.0' not in source


def test_an_empty_folder_beside_a_run_still_makes_a_page(two: list[Path], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "2 runs compared" in Page(render([load(two[0]), load(tmp_path / "empty")])).text
