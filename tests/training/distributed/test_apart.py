"""Two processes that share no disk: each has a working folder, images and a cache of its own."""

import os
import platform
import shutil
import sys
from pathlib import Path

import PIL
import pytest
from PIL import Image

from tests.training.distributed.processes import apart, free_port, place
from wgan.cli import main
from wgan.training.records import checkpoint

SETTINGS = ["image_size=16", "base_channels=4", "latent_dim=8", "batch_size=8", "n_critic=1", "steps=2", "log_every=2",
            "sample_every=2", "validate_every=2", "validate_images=16", "checkpoint_every=2"]  # fmt: skip
WORDS = ["train", "--data", "photos", "--device", "cpu", "--run", "runs/one", *SETTINGS]
FAULTS = ("images", "words", "versions", "missing", "disk")


def make_photos(folder: Path) -> None:
    folder.mkdir(parents=True)
    for number in range(17):
        Image.new("RGB", (16, 16), (10 * number, 0, 99)).save(folder / f"{number}.png")


def train_here(rank: int, port: int, folder: Path, words: list[str]) -> None:
    """`wgan train` with this working folder; its code in a file, and what it says in another."""
    place(rank, port)
    os.chdir(folder)
    with Path("said.txt").open("w", buffering=1) as said:
        sys.stderr = said
        code = main(words)
    Path("code.txt").write_text(str(code))


def train_with_faults(rank: int, ports: dict[str, int], folder: Path) -> None:
    """One fault after the other on the second machine, which is mended in between."""
    version = PIL.__version__
    for fault, port in ports.items():
        words, here = list(WORDS), folder / fault / str(rank)
        make_photos(here / "photos")
        if rank == 1:
            if fault == "images":
                (here / "photos/3.png").unlink()
            if fault == "words":
                words.append("seed=7")
            if fault == "versions":
                PIL.__version__ = "1.0"
            if fault == "missing":
                shutil.rmtree(here / "photos")
            if fault == "disk":
                (here / "runs").mkdir()
                (here / "runs/.cache").write_text("no folder can be made here")
        train_here(rank, port, here, words)
        PIL.__version__ = version


@pytest.mark.slow
def test_machines_without_a_shared_disk_train_one_run_each_with_a_cache_of_its_own(tmp_path: Path) -> None:
    for rank in (0, 1):
        make_photos(tmp_path / f"{rank}/photos")
    port = free_port()
    assert apart(train_here, *[(rank, port, tmp_path / str(rank), WORDS) for rank in (0, 1)]) == [0, 0]
    assert [(tmp_path / f"{rank}/code.txt").read_text() for rank in (0, 1)] == ["0", "0"]
    assert [len(list((tmp_path / f"{rank}/runs/.cache").glob("*.npy"))) for rank in (0, 1)] == [1, 1]
    assert not (tmp_path / "1/runs/one").exists()
    assert checkpoint.load_last(tmp_path / "0/runs/one/checkpoints").state["step"] == 2
    port = free_port()
    words = ["train", "--resume", "--device", "cpu", "--run", "runs/one", "steps=4"]
    assert apart(train_here, *[(rank, port, tmp_path / str(1 - rank), words) for rank in (0, 1)]) == [0, 0]
    state = checkpoint.load_last(tmp_path / "0/runs/one/checkpoints").state
    assert (state["step"], state["stream"]["cursor"]) == (4, 4 * 8)  # the machine that has the run leads it


@pytest.mark.slow
def test_what_is_wrong_on_one_machine_ends_all_processes_with_a_line_that_names_it(tmp_path: Path) -> None:
    ports = {fault: free_port() for fault in FAULTS}
    assert apart(train_with_faults, *[(rank, ports, tmp_path) for rank in (0, 1)]) == [0, 0]
    last: dict[str, list[str]] = {}
    for fault in FAULTS:
        assert [(tmp_path / f"{fault}/{rank}/code.txt").read_text() for rank in (0, 1)] == ["2", "2"], fault
        last[fault] = [(tmp_path / f"{fault}/{rank}/said.txt").read_text().splitlines()[-1] for rank in (0, 1)]
        assert not (tmp_path / fault / "0/runs/one/config.yaml").exists()
    second = f"process 1 on {platform.node()}"
    for fault, says in (
        ("images", f"{second} has other images in photos than process 0 on {platform.node()}: 1 removed (3.png)"),
        ("words", f"{second} has seed 7 where process 0 has seed not given on"),
        ("versions", f"{second} has Pillow 1.0 where process 0 has Pillow {PIL.__version__}"),
    ):
        assert all(line.startswith(f"wgan: {says}") for line in last[fault]), last[fault]
        assert len({*last[fault]}) == 1
    for fault, says in (("missing", "photos"), ("disk", "cannot write runs/.cache")):
        first, own = last[fault]
        assert says in own
        assert first == f"wgan: {second} ended: {own.removeprefix('wgan: ')}"
