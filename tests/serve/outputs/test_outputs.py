"""Every kind of output holds the right images under the right seeds, whole or not at all."""

import gc
import io
import json
import os
import subprocess
import sys
import tarfile
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.fakes.full_disk import disk_full_after
from wgan.serve.base.errors import OutputError
from wgan.serve.base.pipeline import Pipeline
from wgan.serve.outputs.open import open_output
from wgan.serve.outputs.pixels import grid

TEXT = {"model": "ab" * 32}
KINDS = ["folder", "page.png", "a.npy", "a.npz", "a.tar"]


def noise(count, channels=3):
    return np.random.default_rng(0).integers(0, 256, (count, 8, 10, channels), dtype=np.uint8)


def save(path, images, first=0, batch=7, labels=None):
    with open_output(path, count=len(images), first=first, text=TEXT) as output:
        buffer = np.empty_like(images[:batch])  # reused, as a backend would
        for i in range(0, len(images), batch):
            part = buffer[: len(images[i : i + batch])]
            part[:] = images[i : i + batch]
            output.write(first + i, part, None if labels is None else labels[i : i + batch])
            buffer[:] = 0


def decode(source):
    with Image.open(source) as image:
        return np.asarray(image), image.info


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_a_folder_holds_a_png_for_each_seed_and_a_page(tmp_path):
    images = noise(70)
    save(tmp_path / "out", images, first=999_998)
    seeds = range(999_998, 1_000_068)
    assert names(tmp_path / "out") == [*sorted(f"seed-{s:06d}.png" for s in seeds), "wgan.json"]
    for seed, image in zip(seeds, images, strict=True):
        pixels, info = decode(tmp_path / "out" / f"seed-{seed:06d}.png")
        assert np.array_equal(pixels, image)
        assert info == {**TEXT, "seed": str(seed)}
    pixels, info = decode(tmp_path / "out-grid.png")
    assert np.array_equal(pixels, grid(images[:64]))
    assert info == {**TEXT, "seeds": "999998..1000061"}


def test_a_folder_keeps_what_it_had(tmp_path):
    save(tmp_path / "out", noise(1), first=9)
    (tmp_path / "out" / "notes.txt").write_text("mine")
    save(tmp_path / "out", noise(3))
    images = [f"seed-00000{i}.png" for i in (0, 1, 2, 9)]
    assert names(tmp_path / "out") == ["notes.txt", *images, "wgan.json"]


def test_a_png_is_one_page_of_all_images(tmp_path):
    images = noise(70, channels=1)
    save(tmp_path / "page.PNG", images, first=5)
    pixels, info = decode(tmp_path / "page.PNG")
    assert np.array_equal(pixels, grid(images)[:, :, 0])
    assert info == {**TEXT, "seeds": "5..74"}


def sprites(count):
    """Noise of every alpha; the first column is not seen at all."""
    images = noise(count, channels=4)
    images[:, :, 0, 3] = 0
    return images


def test_a_folder_an_array_and_a_tar_keep_straight_alpha(tmp_path):
    images = sprites(20)
    for name in ("out", "a.npy", "a.npz", "a.tar"):
        save(tmp_path / name, images)
    with tarfile.open(tmp_path / "a.tar") as archive:
        packed = [io.BytesIO(archive.extractfile(m).read()) for m in archive.getmembers() if m.name.endswith("png")]
    for i, image in enumerate(images):
        for source in (tmp_path / "out" / f"seed-{i:06d}.png", packed[i]):
            assert np.array_equal(decode(source)[0], image)
    assert np.array_equal(np.load(tmp_path / "a.npy"), images)
    with np.load(tmp_path / "a.npz") as loaded:
        assert np.array_equal(loaded["images"], images)


def test_a_page_of_transparent_images_is_on_a_checkerboard(tmp_path):
    images = sprites(20)
    save(tmp_path / "page.png", images)
    save(tmp_path / "out", images)
    for page in (tmp_path / "page.png", tmp_path / "out-grid.png"):
        assert np.array_equal(decode(page)[0], grid(images))
        assert decode(page)[0].shape[2] == 3


@pytest.mark.parametrize("name", ["way.webp", "way.gif"])
def test_a_film_is_transparent_in_every_frame(tmp_path, name):
    images = np.zeros((6, 24, 24, 4), np.uint8)
    for i, image in enumerate(images):  # a square that moves and leaves nothing behind, others half seen
        image[..., :3] = (200, 10 * i, 90)
        image[2 + i : 10 + i, 2 * i : 2 * i + 8, 3] = 255
        image[18:, 12:18, 3], image[18:, 18:, 3] = 120, 140
    with open_output(tmp_path / name, count=6, first=0, text=TEXT, unit="frame") as output:
        output.write(0, images)
    with Image.open(tmp_path / name) as film:
        assert film.n_frames == 10
        for frame, step in enumerate([0, 1, 2, 3, 4, 5, 4, 3, 2, 1]):
            film.seek(frame)
            found, wanted = np.asarray(film.convert("RGBA")), images[step].copy()
            if name == "way.gif":
                wanted[..., 3] = np.where(wanted[..., 3] < 128, 0, 255)
            assert np.array_equal(found[..., 3], wanted[..., 3])
            seen = wanted[..., 3] > 0
            assert np.abs(found[seen].astype(int) - wanted[seen]).max() <= (0 if name == "way.webp" else 3)


def test_npy_is_the_array(tmp_path):
    images = noise(20)
    save(tmp_path / "a.npy", images)
    loaded = np.load(tmp_path / "a.npy", mmap_mode="r")
    assert loaded.dtype == np.uint8
    assert np.array_equal(loaded, images)


@pytest.mark.parametrize("labelled", [False, True])
def test_npz_holds_images_seeds_and_labels(tmp_path, labelled):
    images, labels = noise(20), np.arange(20) % 8
    save(tmp_path / "a.npz", images, first=30, labels=labels if labelled else None)
    with np.load(tmp_path / "a.npz") as loaded:
        assert sorted(loaded) == (["images", "labels", "seeds"] if labelled else ["images", "seeds"])
        assert np.array_equal(loaded["images"], images)
        assert np.array_equal(loaded["seeds"], np.arange(30, 50))
        if labelled:
            assert np.array_equal(loaded["labels"], labels)


@pytest.mark.parametrize("labelled", [False, True])
def test_tar_is_a_webdataset_in_order(tmp_path, labelled):
    images, labels = noise(40), np.arange(40) % 8
    save(tmp_path / "a.tar", images, first=3, labels=labels if labelled else None)
    with tarfile.open(tmp_path / "a.tar", "r:") as archive:
        members = archive.getmembers()
        endings = ("png", "cls", "json") if labelled else ("png", "json")
        assert [m.name for m in members] == [f"seed-{s:06d}.{e}" for s in range(3, 43) for e in endings]
        assert {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in members} == {(0, 0, 0, "", "", 0o644)}
        contents = [archive.extractfile(m).read() for m in members]
    each = len(endings)
    for i, (png, facts) in enumerate(zip(contents[::each], contents[each - 1 :: each], strict=True)):
        assert np.array_equal(decode(io.BytesIO(png))[0], images[i])
        assert json.loads(facts) == {"seed": 3 + i} | ({"label": int(labels[i])} if labelled else {})
    if labelled:
        assert contents[1::3] == [b"%d" % label for label in labels]
    assert (tmp_path / "a.tar").stat().st_size % tarfile.RECORDSIZE == 0


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it leaves files open
def test_webdataset_itself_gives_images_with_their_classes(tmp_path):
    webdataset = pytest.importorskip("webdataset")
    images, labels = noise(20), np.arange(20) % 12  # of one digit and of two
    save(tmp_path / "a.tar", images, first=999_990, labels=labels)  # and names of six digits and of seven
    save(tmp_path / "plain.tar", images)

    def read(name):
        return webdataset.WebDataset(str(tmp_path / name), shardshuffle=False).decode("rgb8")

    pairs = list(read("a.tar").to_tuple("png", "cls", "json", "__key__"))
    assert [label for _, label, _, _ in pairs] == labels.tolist()
    assert [key for _, _, _, key in pairs] == [f"seed-{seed:06d}" for seed in range(999_990, 1_000_010)]
    assert [facts["label"] for _, _, facts, _ in pairs] == labels.tolist()
    assert all(np.array_equal(image, wanted) for (image, *_), wanted in zip(pairs, images, strict=True))
    (first, *_) = read("plain.tar")
    assert {"png", "json"} == {key for key in first if not key.startswith("__")}
    gc.collect()  # while its warning is not one of ours


@pytest.mark.parametrize("format", ["png", "npy", "npz", "tar"])
def test_a_pipe_gets_what_a_file_would_hold(tmp_path, format):
    images = noise(20)
    os.mkfifo(tmp_path / "pipe")
    save(tmp_path / f"a.{format}", images)
    with ThreadPoolExecutor() as pool:
        got = pool.submit((tmp_path / "pipe").read_bytes)
        with open_output(tmp_path / "pipe", count=20, first=0, text=TEXT, format=format) as output:
            output.write(0, images)
        content = got.result(60)
    if format == "npz":  # in a pipe the lengths come after the content, so other bytes
        with np.load(io.BytesIO(content)) as there, np.load(tmp_path / "a.npz") as wanted:
            assert list(there) == list(wanted)
            assert all(np.array_equal(there[key], wanted[key]) for key in there)
    else:
        assert content == (tmp_path / f"a.{format}").read_bytes()
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize("format", ["gif", "webp"])
def test_a_film_goes_through_a_pipe(tmp_path, format):
    os.mkfifo(tmp_path / "pipe")
    with ThreadPoolExecutor() as pool:
        got = pool.submit((tmp_path / "pipe").read_bytes)
        with open_output(tmp_path / "pipe", count=4, first=0, text=TEXT, unit="frame", format=format) as output:
            output.write(0, noise(4))
        with Image.open(io.BytesIO(got.result(60))) as film:
            assert (film.format, film.n_frames) == (format.upper(), 6)


@pytest.mark.parametrize("format", ["png", "npy", "npz", "tar"])
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's full device")
def test_a_full_device_is_one_line(format):
    with (
        pytest.raises(OutputError, match=r"cannot write /dev/full: No space left on device"),
        open_output(Path("/dev/full"), count=20, first=0, text=TEXT, format=format) as output,
    ):
        output.write(0, noise(20))


def test_an_npz_that_is_broken_off_in_a_pipe_has_no_end(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with ThreadPoolExecutor() as pool:
        got = pool.submit((tmp_path / "pipe").read_bytes)
        output = open_output(tmp_path / "pipe", count=20, first=0, text=TEXT, format="npz")
        output.write(0, noise(10))
        output.__exit__(KeyboardInterrupt, None, None)
        assert not zipfile.is_zipfile(io.BytesIO(got.result(60)))


@pytest.mark.parametrize("kind", KINDS)
def test_the_bytes_do_not_depend_on_the_batches_or_the_day(tmp_path, kind):
    def contents(path):
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        return [f.read_bytes() for f in files]

    for folder, batch in (("x", 7), ("y", 50)):
        save(tmp_path / folder / kind, noise(50), batch=batch)
    assert contents(tmp_path / "x" / kind) == contents(tmp_path / "y" / kind)


@pytest.mark.parametrize("kind", KINDS)
def test_a_view_is_written_like_its_copy(tmp_path, kind):
    images = noise(6)[::-1, :, ::2]
    for name, batch in (("x", images), ("y", images.copy())):
        with open_output(tmp_path / name / kind, count=6, first=0, text=TEXT) as output:
            output.write(0, batch)
    x, y = tmp_path / "x" / kind, tmp_path / "y" / kind
    for a, b in [(x / n, y / n) for n in names(x)] if x.is_dir() else [(x, y)]:
        assert a.read_bytes() == b.read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_an_existing_result_is_replaced(tmp_path, kind):
    save(tmp_path / kind, noise(5))
    save(tmp_path / kind, noise(4)[::-1])
    assert not [p for p in tmp_path.rglob("*") if p.name.endswith(".tmp")]
    if kind == "a.npy":
        assert np.array_equal(np.load(tmp_path / kind), noise(4)[::-1])


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("kind", KINDS)
def test_an_interrupted_run_leaves_nothing_half_written(tmp_path, kind, error):
    images = noise(100)
    path = tmp_path / kind

    def run():
        with open_output(path, count=100, first=0, text=TEXT) as output:
            output.write(0, images[:60])
            raise error

    with pytest.raises(error):
        run()
    if kind == "folder":
        whole = [name for name in names(path) if name != "wgan.json"]
        assert whole
        assert names(tmp_path) == ["folder"]
        assert all(decode(path / name)[0].shape == (8, 10, 3) for name in whole)
    else:
        assert names(tmp_path) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_disk_is_one_line_and_leaves_no_part(tmp_path, kind):
    images = np.random.default_rng(0).integers(0, 256, (30, 40, 40, 3), dtype=np.uint8)
    limit = 2000 if kind == "folder" else 20_000
    with pytest.raises(OutputError, match="free some space") as caught, disk_full_after(limit):
        save(tmp_path / kind, images)
    assert "\n" not in str(caught.value)
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_where_a_folder_is_needed_is_refused_before_anything_is_made(tmp_path, kind):
    (tmp_path / "file").write_bytes(b"mine")
    with pytest.raises(OutputError, match="cannot write"):
        open_output(tmp_path / "file" / kind, count=1, first=0, text=TEXT)
    with pytest.raises(OutputError, match="it is a file"):
        open_output(tmp_path / "file", count=1, first=0, text=TEXT)
    assert (tmp_path / "file").read_bytes() == b"mine"


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="writes where nobody can")
def test_a_folder_that_cannot_be_written_is_named_as_it_was_asked_for(tmp_path):
    for folder in (Path("/proc/x"), Path("/proc")):
        with pytest.raises(OutputError) as caught:
            open_output(folder, count=1, first=0, text=TEXT)
        assert str(caught.value).startswith(f"cannot write {folder}: ")
    (tmp_path / "a" / "wgan.json").mkdir(parents=True)
    with pytest.raises(OutputError, match="a/wgan.json: Is a directory"):
        open_output(tmp_path / "a", count=1, first=0, text=TEXT)


@pytest.mark.parametrize("name", ["a.jpg", "a.tar.gz", "a.PDF"])
def test_an_unknown_ending_names_the_known_ones(tmp_path, name):
    with pytest.raises(OutputError, match=r"a folder, \.png, \.npy, \.npz or \.tar"):
        open_output(tmp_path / name, count=1, first=0, text=TEXT)
    assert names(tmp_path) == []


@pytest.mark.parametrize("name", ["plain", "step-0.5", "made.d"])
def test_names_that_are_folders(tmp_path, name):
    (tmp_path / "made.d").mkdir()
    save(tmp_path / name, noise(1))
    assert (tmp_path / name / "seed-000000.png").is_file()


def test_a_page_of_too_many_images_is_refused(tmp_path):
    with pytest.raises(OutputError, match="at most 4096"):
        open_output(tmp_path / "a.png", count=4097, first=0, text=TEXT)


def test_nothing_to_write_is_refused(tmp_path):
    with pytest.raises(OutputError, match="at least 1"):
        open_output(tmp_path / "a.npy", count=0, first=0, text=TEXT)


@pytest.mark.parametrize("first", [1, -1, 5])
def test_images_out_of_order_are_a_mistake_of_the_caller(tmp_path, first):
    output = open_output(tmp_path / "a.npy", count=4, first=0, text=TEXT)
    with pytest.raises(ValueError, match="out of order"), output:
        output.write(first, noise(1))
    assert names(tmp_path) == []


def test_too_few_images_are_not_passed_off_as_the_result(tmp_path):
    with (
        pytest.raises(ValueError, match="3 of 4"),
        open_output(tmp_path / "a.npy", count=4, first=0, text=TEXT) as output,
    ):
        output.write(0, noise(3))
    assert names(tmp_path) == []


def test_a_pipeline_keeps_order_and_holds_few():
    pipeline = Pipeline(threads=3)

    def work(i):
        time.sleep(0.002 * (i % 3))
        return i

    done = []
    for i in range(60):
        done.extend(pipeline.put(lambda i=i: work(i)))
        assert i + 1 - len(done) <= 12
    done.extend(pipeline.finish())
    assert done == list(range(60))


def test_an_error_in_a_pipeline_comes_out_in_its_turn():
    pipeline = Pipeline(threads=2)
    list(pipeline.put(lambda: 1))
    list(pipeline.put(lambda: 1 // 0))
    with pytest.raises(ZeroDivisionError):
        list(pipeline.finish())
    pipeline.stop()


INTERRUPTED = """
import random, signal, sys, time
from wgan.serve.base.pipeline import Pipeline

def interrupt(number, frame):
    raise KeyboardInterrupt

signal.signal(signal.SIGALRM, interrupt)
draw, interrupted = random.Random(0), 0
for _ in range(int(sys.argv[1])):
    pipeline = Pipeline(threads=2)
    try:
        signal.setitimer(signal.ITIMER_REAL, draw.uniform(1e-5, 2e-3))
        while True:
            for _ in pipeline.put(lambda: sum(range(50))):
                pass
    except KeyboardInterrupt:
        interrupted += 1
    except RuntimeError as error:
        # what Python's own Condition makes of one that comes while it takes its lock again, in Thread.start
        if not isinstance(error.__context__, KeyboardInterrupt):
            raise
        interrupted += 1
    finally:
        pipeline.stop()
print(interrupted)
"""


def test_ctrl_c_at_any_moment_leaves_a_pipeline_that_ends():
    command = [sys.executable, "-c", INTERRUPTED, "1000"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout == "1000\n", done.stderr
