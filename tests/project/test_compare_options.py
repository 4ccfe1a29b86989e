"""`scripts/compare_options.py`: equal time, several seeds, means and spreads, and nothing trained twice."""

import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest
import torch

from tests import ROOT
from wgan.serve.base.errors import ConfigError
from wgan.training.config import Config, load
from wgan.training.run import minutes
from wgan.training.step.cost import Cost, flops_of, total

SMALL = """\
image_size: 16
base_channels: 4
latent_dim: 8
batch_size: 8
n_critic: 1
steps: 12
faces_count: 64
validate_images: 16
"""


def run(here: Path, *words: str) -> tuple[dict[str, Any], str, str]:
    """The JSON object of the last line, the table before it, and what was said."""
    script = str(ROOT / "scripts" / "compare_options.py")
    command = [sys.executable, script, *words, "--preset", "small.yaml", "--seeds", "2", "--runs", "runs"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=here)
    assert done.returncode == 0, done.stderr
    *table, last = done.stdout.splitlines()
    return json.loads(last), "\n".join(table), done.stderr


@pytest.mark.slow
def test_options_get_the_same_flops_and_are_kept(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SMALL)
    words = ["the preset", "growing"]
    found, table, said = run(tmp_path, *words)
    assert said.count("seed 0: ") == said.count("seed 1: ") == 2
    rows = {row["option"]: row for row in found["rows"]}
    assert set(rows) == set(words)
    assert len((tmp_path / "runs" / "results.jsonl").read_text().splitlines()) == 4
    for row in rows.values():
        swd = [each["swd"] for each in row["runs"]]
        assert (row["swd"], row["spread"]) == (pytest.approx(fmean(swd)), pytest.approx(stdev(swd)))
        assert f"{row['swd']:.1f} ± {row['spread']:.1f}" in table
    preset = load(str(tmp_path / "small.yaml"))
    budget = total(preset, flops_of(preset))
    assert rows["the preset"]["runs"][0]["steps"] == 12
    for place in (tmp_path / "runs").glob("*-seed-0"):
        config = load(str(place / "config.yaml"))
        spent = total(config, flops_of(config))
        assert budget - 2 * spent / config.steps < spent <= budget * (1 + 1e-9)
    shutil.rmtree(next((tmp_path / "runs").glob("*growing-seed-0")))  # what is kept needs no runs
    assert run(tmp_path, *words) == (found, table, "")


def test_settings_may_follow_the_preset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    compare = importlib.import_module("compare_options")
    words = "demo batch_size=32 steps=300 precision=fp32"
    config = compare.resolved(words, {"batch_size": 16}, 2)
    assert (config.batch_size, config.steps, config.seed) == (16, 600, 2)
    with pytest.raises(ConfigError, match="unknown setting"):
        compare.resolved("demo batches=32", {}, 0)


@pytest.mark.parametrize(("step", "steps"), [(0.5, 12), (0.25, 24)])
def test_by_seconds_a_quicker_step_gets_more_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: float, steps: int
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    compare = importlib.import_module("compare_options")
    (tmp_path / "small.yaml").write_text(SMALL)

    def fixed(config: Config, device: torch.device, processes: int = 1) -> Cost:
        return lambda stage: step if config.depth == 2 else 0.5

    monkeypatch.setattr(minutes, "seconds_of", fixed)
    config = compare.resolved(str(tmp_path / "small.yaml"), {"depth": 2, "lr_g": 2.0}, 1, "seconds", 1.0)
    assert (config.steps, config.seed, config.depth) == (steps, 1, 2)
    assert config.lr_g == 2 * Config().lr_g
