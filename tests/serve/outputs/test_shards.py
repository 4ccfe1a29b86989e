"""A large set is the same bytes whoever made its shards, and however often they were interrupted."""

import json
import os
import signal
import subprocess
import sys
import tarfile
import tracemalloc
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from tests import ROOT
from tests.fakes.full_disk import disk_full_after
from tests.fakes.generator import FakeGenerator
from wgan.serve.base.errors import ConfigError, OutputError
from wgan.serve.latents.sources import from_table
from wgan.serve.latents.truncation import Truncation
from wgan.serve.outputs import manifest
from wgan.serve.outputs.manifest import Manifest
from wgan.serve.outputs.shards import Part, ShardSet
from wgan.serve.sampling.run import Job


def make(out, count=50, size=8, part=None, batch=5, truncation=None, label=None, said=None, first=3, **fake):
    backend = FakeGenerator(**fake)
    run = Job(backend, from_table(192, first, count, truncation), label, batch)
    return run.shards(ShardSet(out, first, count, size), part or Part(), (said if said is not None else []).append)


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("ending", [".tar", ".npy", ".npz"])
def test_machines_together_make_what_one_makes(tmp_path, ending):
    assert make(tmp_path / "one" / f"a{ending}", classes=("x", "y", "z")) == (50, 7, 0)
    for i in (3, 1, 2):
        made = make(tmp_path / "many" / f"a{ending}", part=Part(i, 3), batch=i, classes=("x", "y", "z"))
        assert made[1] == {1: 3, 2: 2, 3: 2}[i]
    assert contents(tmp_path / "one") == contents(tmp_path / "many")
    assert len(contents(tmp_path / "one")) == 8  # seven shards and what they were made of


def test_shards_hold_the_images_of_the_plain_run_in_order(tmp_path):
    make(tmp_path / "a.npy")
    make(tmp_path / "a" / "a.tar")
    Job(FakeGenerator(), from_table(192, 3, 50, None), None, 64).whole(tmp_path / "plain.npy")
    shards = [np.load(tmp_path / f"a-{j:06d}.npy") for j in range(7)]
    assert [len(shard) for shard in shards] == [8] * 6 + [2]
    assert np.array_equal(np.concatenate(shards), np.load(tmp_path / "plain.npy"))
    names = []
    for j in range(7):
        with tarfile.open(tmp_path / "a" / f"a-{j:06d}.tar") as archive:
            names += archive.getnames()
    assert names == [f"seed-{s:06d}.{ending}" for s in range(3, 53) for ending in ("png", "json")]


@pytest.mark.slow
def test_a_killed_run_continued_gives_the_same_bytes(tmp_path):
    script = f"""
import os, signal
from pathlib import Path
from threading import Thread
from tests.serve.outputs.test_shards import make
from wgan.serve.outputs.base import Output
written = Output.write
count = 0
def write(self, *rest):
    global count
    count += 1
    written(self, *rest)
    if count == 6:  # in the third shard, of two batches each
        os.kill(os.getpid(), signal.SIGKILL)
Output.write = write
make(Path({str(tmp_path / "killed" / "a.tar")!r}))
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    left = contents(tmp_path / "killed")
    assert sum(name.startswith("a-") for name in left) == 2
    assert any(name.endswith(".tmp") for name in left)

    assert make(tmp_path / "killed" / "a.tar") == (34, 5, 2)
    make(tmp_path / "whole" / "a.tar")
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


@pytest.mark.parametrize("ending", [".tar", ".npy", ".npz"])
def test_a_shard_that_was_cut_off_is_made_anew_and_said(tmp_path, ending):
    make(tmp_path / f"a{ending}")
    before, said = contents(tmp_path), []
    for j, keep in ((2, -1), (4, 0)):
        path = tmp_path / f"a-{j:06d}{ending}"
        path.write_bytes(path.read_bytes()[:keep])
    assert make(tmp_path / f"a{ending}", said=said) == (16, 2, 5)
    assert contents(tmp_path) == before
    assert len(said) == 2
    assert "000002" in said[0]


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"digest": "cd" * 32}, "model abababababab…, not cdcdcdcdcdcd…"),
        ({"truncation": Truncation(0.5)}, "truncation none, not truncated 0.5"),
        ({"size": 9}, "shard_size 8, not 9"),
        ({"count": 51}, "count 50, not 51"),
        ({"first": 4}, "first 3, not 4"),
        ({"label": 1}, "label none, not y"),
    ],
)
def test_shards_of_something_else_are_not_taken_for_these(tmp_path, changed, says):
    make(tmp_path / "a.npy", classes=("x", "y"))
    before = contents(tmp_path)
    with pytest.raises(OutputError) as caught:
        make(tmp_path / "a.npy", **{"classes": ("x", "y"), **changed})
    assert says in str(caught.value)
    assert "choose another --out" in str(caught.value)
    assert contents(tmp_path) == before


def test_shards_of_another_provider_on_the_gpu_are_not_mixed_in(tmp_path, monkeypatch):
    make(tmp_path / "cpu.npy")
    assert "provider" not in json.loads((tmp_path / "cpu.json").read_text())
    monkeypatch.setattr(FakeGenerator, "device", "cuda")
    monkeypatch.setattr(FakeGenerator, "provider", "cuda", raising=False)
    make(tmp_path / "a.npy")
    assert make(tmp_path / "a.npy") == (0, 0, 7)
    monkeypatch.setattr(FakeGenerator, "provider", "tensorrt")
    with pytest.raises(OutputError, match="provider cuda, not tensorrt"):
        make(tmp_path / "a.npy")


def test_a_difference_of_many_classes_is_a_line_that_can_be_read(tmp_path):
    make(tmp_path / "a.npy", classes=tuple(map(str, range(5000))))
    with pytest.raises(OutputError) as caught:
        make(tmp_path / "a.npy", classes=("x", "y"))
    assert "classes ['0', '1'" in str(caught.value)
    assert len(str(caught.value)) < 500


def test_another_kind_of_shards_needs_another_name(tmp_path):
    make(tmp_path / "a.npy")
    with pytest.raises(OutputError, match=r"names a-\{000000..000006\}.npy, not a-\{000000..000006\}.tar"):
        make(tmp_path / "a.tar")


def test_shards_that_nothing_vouches_for_are_refused(tmp_path):
    make(tmp_path / "a.npy")
    (tmp_path / "a.json").unlink()
    with pytest.raises(OutputError, match="remove them, or choose another --out"):
        make(tmp_path / "a.npy")


@pytest.mark.parametrize("text", ["{}", "[", "null", '{"name": "mine"}'])
def test_another_programs_json_is_not_overwritten(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(OutputError, match="does not describe shards"):
        make(tmp_path / "a.npy")
    assert contents(tmp_path) == {"a.json": text.encode()}


def test_a_full_disk_keeps_the_whole_shards_and_the_run_goes_on(tmp_path):
    with pytest.raises(OutputError, match="free some space"), disk_full_after(8 * 192 + 128 - 1):
        make(tmp_path / "a.npy", count=18, first=0)
    assert sorted(contents(tmp_path)) == ["a.json"]
    with disk_full_after(8 * 192 + 128 - 1):
        make(tmp_path / "a.npy", count=18, first=0, part=Part(3, 3))  # of two images
    with pytest.raises(OutputError, match="free some space"), disk_full_after(8 * 192 + 128 - 1):
        make(tmp_path / "a.npy", count=18, first=0)
    assert sorted(contents(tmp_path)) == ["a-000002.npy", "a.json"]
    assert make(tmp_path / "a.npy", count=18, first=0) == (16, 2, 1)


def test_the_manifest_says_what_the_shards_are(tmp_path):
    make(tmp_path / "faces.tar", classes=("x", "y"), truncation=Truncation(0.7, "scaled"), label=1)
    assert json.loads((tmp_path / "faces.json").read_text()) == {
        "wgan_shards": 1,
        "count": 50,
        "shard_size": 8,
        "first": 3,
        "unit": "seed",
        "names": "faces-{000000..000006}.tar",
        "model": "ab" * 32,
        "backend": "fake on cpu",
        "precision": "fp32",
        "truncation": "scaled 0.7",
        "classes": ["x", "y"],
        "label": "y",
        "members": "png cls json",
    }


def test_shards_from_before_there_were_classes_in_them_are_not_gone_on_with(tmp_path):
    make(tmp_path / "faces.tar", classes=("x", "y"))
    old = json.loads((tmp_path / "faces.json").read_text())
    del old["members"]
    (tmp_path / "faces.json").write_text(json.dumps(old))
    with pytest.raises(OutputError, match=r"have members none, not png cls json: choose another --out"):
        make(tmp_path / "faces.tar", classes=("x", "y"))
    make(tmp_path / "plain.tar")  # without classes nothing has changed
    assert "members" not in json.loads((tmp_path / "plain.json").read_text())


def test_a_shard_that_is_a_pipe_gets_its_bytes_and_is_not_waited_for(tmp_path):
    make(tmp_path / "a.tar", count=16)
    (tmp_path / "a-000001.tar").unlink()
    os.mkfifo(tmp_path / "a-000001.tar")
    got = []
    reader = Thread(target=lambda: got.append((tmp_path / "a-000001.tar").read_bytes()))
    reader.start()
    make(tmp_path / "a.tar", count=16)
    reader.join(60)
    make(tmp_path / "b.tar", count=16)
    assert got == [(tmp_path / "b-000001.tar").read_bytes()]


@pytest.mark.slow
@pytest.mark.parametrize("ending", [".tar", ".npy"])
def test_memory_does_not_grow_with_the_number_of_images(tmp_path, ending):
    def peak(count):
        tracemalloc.start()
        make(tmp_path / f"{count}{ending}", count=count, size=500, batch=50)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(500)  # what is loaded and kept the first time
    more, pixels = 4000, 3 * 8 * 8
    # the two differ by what happens to be encoded at one moment, far less than one byte in two of the images
    assert peak(1000 + more) - peak(1000) < more * pixels / 2


def test_parts_are_numbered_from_1():
    shards = ShardSet(Path("a.tar"), 0, 100, 10)
    assert Part.parse("2/3") == Part(2, 3)
    assert [list(shards.of(Part(i, 3))) for i in (1, 2, 3)] == [[0, 3, 6, 9], [1, 4, 7], [2, 5, 8]]
    assert list(shards.of(Part(11, 12))) == []  # more machines than shards


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/0", "-1/2", "1/2/3", ""])
def test_a_part_that_there_is_not_is_refused(text):
    with pytest.raises(ConfigError, match="1/4 to 4/4"):
        Part.parse(text)


@pytest.mark.slow
def test_two_processes_that_make_the_same_shards_make_them_whole(tmp_path):
    target = str(tmp_path / "a.tar")
    script = f"from pathlib import Path\nfrom tests.serve.outputs.test_shards import make\nmake(Path({target!r}))"
    pair = [subprocess.Popen([sys.executable, "-c", script], cwd=ROOT) for _ in range(2)]
    assert [child.wait() for child in pair] == [0, 0]
    make(tmp_path / "alone" / "a.tar")
    alone = contents(tmp_path / "alone")
    for path in (tmp_path / "alone").iterdir():
        path.unlink()
    (tmp_path / "alone").rmdir()
    assert contents(tmp_path) == alone


@pytest.mark.parametrize("place", [(Manifest, "read"), (manifest, "atomic_create")])
@pytest.mark.parametrize(("first", "made"), [(3, (0, 0, 7)), (50, None)])
def test_of_two_sets_that_begin_at_once_the_second_goes_by_the_first(tmp_path, monkeypatch, place, first, made):
    usual = getattr(*place)

    def late(*arguments):
        monkeypatch.undo()
        nothing = usual(*arguments) if place[1] == "read" else None  # read before the other one begins
        make(tmp_path / "a.npy", first=first)
        return nothing if place[1] == "read" else usual(*arguments)

    monkeypatch.setattr(*place, late)
    if made is None:
        with pytest.raises(OutputError, match="the shards there have first 50, not 3"):
            make(tmp_path / "a.npy")
    else:
        assert make(tmp_path / "a.npy") == made
    assert json.loads((tmp_path / "a.json").read_text())["first"] == first
