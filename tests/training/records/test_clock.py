"""A machine whose clock is an hour off: nothing that decides goes by the time of day."""

import os
import time
from pathlib import Path

import pytest
import torch

from wgan.training.config import Config
from wgan.training.distributed.launch import LAUNCH, launch
from wgan.training.records import checkpoint
from wgan.training.records import folder as runs
from wgan.training.records.history import read
from wgan.training.run.loop import train

CPU, HOUR = torch.device("cpu"), 3600
TINY = Config(image_size=16, base_channels=4, latent_dim=8, faces_count=64, batch_size=8, n_critic=1, steps=4,
              log_every=2, sample_every=2, validate_every=2, validate_images=16, checkpoint_every=2)  # fmt: skip


def shift(folder: Path, seconds: int) -> None:
    """As if all that lies there had been written by a clock that is so far ahead."""
    for path in folder.rglob("*"):
        status = path.stat()
        os.utime(path, (status.st_atime + seconds, status.st_mtime + seconds))


@pytest.mark.slow
def test_a_run_goes_on_to_the_same_bits_on_a_machine_whose_clock_is_an_hour_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, cut, cache = (tmp_path / name for name in ("whole", "cut", "cache"))
    train(runs.begin(whole), TINY, device=CPU, cache=cache)
    train(runs.begin(cut), TINY.replace(steps=3), device=CPU, cache=cache)
    pixels = {path: path.stat().st_ino for path in cache.glob("*.npy")}
    shift(tmp_path, HOUR)
    oldest = checkpoint.list_steps(cut / "checkpoints")[0]
    os.utime(oldest, (time.time() + 2 * HOUR,) * 2)  # what was written first is the newest by its time
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() - HOUR)
    folder, config = runs.reopen(cut, {"steps": 4})
    trained = train(folder, config, device=CPU, cache=cache, resume=True)
    assert trained.step == 4
    assert 0 < trained.seconds < HOUR
    one, two = (checkpoint.load_last(run / "checkpoints").state for run in (whole, cut))
    assert one["stream"] == two["stream"]
    assert all(torch.equal(weight, two["generator"][name]) for name, weight in one["generator"].items())
    assert {path: path.stat().st_ino for path in cache.glob("*.npy")} == pixels  # the cache is taken as it is
    seconds = [record["seconds"] for record in read(cut / "metrics.jsonl") if record["kind"] == "train"]
    assert seconds == sorted(seconds)
    assert seconds[-1] < HOUR


def test_a_start_that_is_started_again_finds_its_own_run_whatever_the_times_of_others_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = {}
    for name in ("job-1", "job-2", "job-3"):
        monkeypatch.setenv(LAUNCH, name)
        digests[name] = launch()
        run = runs.RunFolder(tmp_path / name)
        run.create(TINY)
        run.info.write_text(f'{{"launch": "{digests[name]}"}}')
    shift(tmp_path / "job-1", HOUR)
    shift(tmp_path / "job-3", -HOUR)
    for name, digest in digests.items():
        assert runs.find_same(tmp_path, TINY, digest) == tmp_path / name
    assert runs.find_same(tmp_path, TINY, "another") is None
