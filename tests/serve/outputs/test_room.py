"""What does not fit is refused before any image is made, and what fits never is."""

import os
from pathlib import Path

import numpy as np
import pytest

from tests.fakes.generator import FakeGenerator
from wgan.serve.base.errors import OutputError
from wgan.serve.latents.sources import from_table
from wgan.serve.outputs import room
from wgan.serve.outputs.kinds import kind_of
from wgan.serve.outputs.open import open_output
from wgan.serve.outputs.room import check_room, least
from wgan.serve.outputs.shards import Part, ShardSet
from wgan.serve.sampling.run import Job

TEXT = {"model": "ab" * 32}


def taken(path: Path) -> int:
    files = path.rglob("*.png") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files)


@pytest.mark.parametrize("name", ["folder", "page.png", "a.npy", "a.npz", "a.tar"])
@pytest.mark.parametrize("labelled", [False, True])
@pytest.mark.parametrize("shape", [(1, 1, 1), (200, 300, 3), (8, 8, 4)])
def test_the_most_compressible_images_take_no_less_than_the_bound(
    tmp_path: Path, name: str, labelled: bool, shape: tuple[int, ...]
) -> None:
    images, path = np.zeros((20, *shape), np.uint8), tmp_path / name
    with open_output(path, count=20, first=0, text={}) as output:
        output.write(0, images, np.arange(20) if labelled else None)
    bound = least(kind_of(path), 20, shape, labelled)
    assert 0 <= bound <= taken(path)
    if name.endswith((".npy", ".npz")):
        assert taken(path) - bound < 2048  # known but for the headers


def disk(monkeypatch: pytest.MonkeyPatch, size: int | None) -> None:
    monkeypatch.setattr(room, "free", lambda path: size)


@pytest.mark.parametrize("name", ["folder", "a.npy", "a.npz", "a.tar"])
def test_too_many_images_for_the_disk_are_refused_and_nothing_is_made(here: Path, name: str) -> None:
    job = Job(FakeGenerator(), from_table(192, 0, 2**62, None), None, 64)
    says = (
        rf"cannot write {name}: 4,611,686,018,427,387,904 images take at least [\d,.]+ PB, and .* are free there; ask"
    )
    with pytest.raises(OutputError, match=says):
        job.whole(Path(name))
    assert list(here.iterdir()) == []


def test_what_fits_to_the_byte_is_taken(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needed = least("npy", 10, (8, 8, 3), False)
    disk(monkeypatch, needed - 1)
    job = Job(FakeGenerator(), from_table(192, 0, 10, None), None, 64)
    with pytest.raises(OutputError, match="10 images take at least 1,920 bytes, and 1,919 bytes are free"):
        job.whole(Path("a.npy"))
    disk(monkeypatch, needed)
    job.whole(Path("a.npy"))


def test_images_that_replace_others_in_a_folder_need_no_more_room(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = Job(FakeGenerator(), from_table(192, 0, 10, None), None, 64)
    job.whole(Path("folder"))
    disk(monkeypatch, 0)
    job.whole(Path("folder"))
    with pytest.raises(OutputError, match="are free"):
        job.whole(Path("other"))


def test_the_disk_is_that_of_the_file_that_a_link_leads_to(here: Path) -> None:
    Path("other").symlink_to("/proc/version" if Path("/proc/version").exists() else here)
    Path("new.npy").symlink_to("not/there/yet.npy")
    assert room.free(Path("new.npy")) == room.free(here)
    assert room.free(Path("a/b/c.npy")) == room.free(here)
    assert room.free(Path("other")) is None  # a file system of nothing


def test_pipes_and_devices_take_what_they_are_given(here: Path) -> None:
    os.mkfifo("pipe")
    check_room(Path("pipe"), 2**80, "it")
    check_room(Path("/dev/null"), 2**80, "it")
    check_room(Path("/dev/stdout"), 2**80, "it")


def test_of_shards_one_must_fit_and_the_rest_is_said(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def make(part: Part) -> list[str]:
        said: list[str] = []
        job = Job(FakeGenerator(), from_table(192, 0, 40, None), None, 64)
        job.shards(ShardSet(Path("a.npy"), 0, 40, 10), part, said.append)
        return said

    one = least("npy", 10, (8, 8, 3), False)
    disk(monkeypatch, one - 1)
    with pytest.raises(OutputError, match=r"cannot write a-000000.npy: the 10 images of a shard take at least"):
        make(Part())
    assert list(here.iterdir()) == []
    monkeypatch.setattr("wgan.serve.sampling.run.free", lambda path: one)
    disk(monkeypatch, one)
    assert make(Part(1, 4)) == []  # what other machines make is on their disks
    assert make(Part()) == [
        "3 shards take at least 5,760 bytes, and 1,920 bytes are free there: they fit if they are moved on as they come"
    ]
    disk(monkeypatch, 0)
    assert make(Part()) == []  # they are all there
