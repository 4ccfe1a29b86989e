"""torchrun starts processes again: on each machine it counts that by itself, so the counts of two may differ."""

import os
from pathlib import Path

import pytest

from tests.training.distributed.processes import apart, free_port
from tests.training.distributed.test_apart import SETTINGS, make_photos, train_here
from wgan.training.distributed.launch import RESTARTS
from wgan.training.records import checkpoint
from wgan.training.records.history import read

WORDS = ["train", "--data", "photos", "--device", "cpu", "--run", "runs/one", *SETTINGS, "steps=4"]
WORDS += ["checkpoint_every=1"]


def train_again(rank: int, port: int, folder: Path, restarts: int) -> None:
    os.environ[RESTARTS] = str(restarts)
    train_here(rank, port, folder, WORDS)


@pytest.mark.slow
@pytest.mark.parametrize("counts", [(0, 1), (1, 0)])
def test_a_machine_that_comes_later_goes_on_with_the_run_of_the_one_that_stayed(
    tmp_path: Path, counts: tuple[int, int]
) -> None:
    for rank in (0, 1):
        make_photos(tmp_path / f"{rank}/photos")
    port = free_port()
    assert apart(train_here, *[(rank, port, tmp_path / str(rank), WORDS) for rank in (0, 1)]) == [0, 0]
    run = tmp_path / "0/runs/one"
    last = checkpoint.list_steps(run / "checkpoints")[-1]
    whole = checkpoint.load(last)
    last.unlink()  # as if one had been lost before it was written
    (run / "checkpoints" / checkpoint.BEST).unlink()
    port = free_port()
    starts = [(rank, port, tmp_path / str(rank), counts[rank]) for rank in (0, 1)]
    assert apart(train_again, *starts) == [0, 0]
    assert [(tmp_path / f"{rank}/code.txt").read_text() for rank in (0, 1)] == ["0", "0"]
    assert [r["step"] for r in read(run / "metrics.jsonl") if r.get("message") == "resumed"] == [3]
    again = checkpoint.load(last)
    for network in ("generator", "critic"):  # the same processes before and after: the same run to the bit
        assert all(value.equal(again[network][name]) for name, value in whole[network].items()), network
    assert again["stream"] == whole["stream"]
    assert again["random"].equal(whole["random"])
