"""Folders, archives and the cache: what is found, skipped, kept and refused."""

import io
import json
import os
import subprocess
import sys
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.fakes.full_disk import disk_full_after
from wgan.serve.base.errors import DatasetError
from wgan.training.data import ImageSet, archive, faces, held_out, open_images
from wgan.training.data.decode import Shape


def png(value: int, size: int = 16) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (size, size), (value, 255 - value, 7)).save(file, "png")
    return file.getvalue()


def write(root: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in files.items():
            file.writestr(name, content)
    return path


def tarred(path: Path, files: dict[str, bytes], **settings: Any) -> Path:
    with tarfile.open(path, "w", **settings) as file:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return path


SMALL = Shape(8, 3, "crop")


class Opener:
    """`open_images` with a cache folder and small images; counts the images that were decoded."""

    def __init__(self, cache: Path):
        self.cache = cache
        self.decoded = 0

    def __call__(self, data: Path | str, **changes: Any) -> ImageSet:
        self.decoded = 0
        shape = {name: changes.pop(name) for name in ("image_size", "channels", "fit") if name in changes}
        return open_images(
            str(data),
            Shape(**{**vars(SMALL), **shape}),
            cache_dir=self.cache,
            progress=self.count,
            **changes,
        )

    def count(self, done: int, total: int, what: str) -> None:
        assert 0 <= done <= total
        assert what
        self.decoded = done


@pytest.fixture
def opened(tmp_path: Path) -> Opener:
    return Opener(tmp_path / "cache")


PLAIN = {f"{i:02}.png": png(10 * i) for i in range(20)}
CLASSES = {f"{name}/{i}.png": png(20 * i) for name in ("cat", "ant", "bee") for i in range(3)}


def reds(images: ImageSet) -> list[int]:
    return [int(value) for value in images.images[:, 0, 0, 0]]


def test_a_folder_gives_its_images_in_the_order_of_their_names(tmp_path: Path, opened: Opener) -> None:
    images = opened(write(tmp_path / "mine", PLAIN))
    assert images.images.shape == (20, 8, 8, 3)
    assert images.images.dtype == np.uint8
    assert reds(images) == [10 * i for i in range(20)]
    assert (images.labels, images.classes, images.name, images.broken) == (None, None, "mine", ())


def test_images_are_found_in_folders_below(tmp_path: Path, opened: Opener) -> None:
    root = write(tmp_path / "mine", {"a/b/c/deep.PNG": png(3), "top.jpeg": png(4)})
    assert sorted(reds(opened(root))) == [3, 4]


def test_what_is_no_image_is_passed_over(tmp_path: Path, opened: Opener) -> None:
    junk = dict.fromkeys(("a.txt", "Thumbs.db", ".DS_Store", ".hidden.png", "__MACOSX/._a.png", ".git/b.png"), b"junk")
    assert len(opened(write(tmp_path / "mine", {"one.png": png(1)} | junk))) == 1


def test_class_folders_give_labels(tmp_path: Path, opened: Opener) -> None:
    images = opened(write(tmp_path / "mine", CLASSES))
    assert images.classes == ("ant", "bee", "cat")
    assert images.labels is not None
    assert images.labels.dtype == np.int64
    assert images.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]


@pytest.mark.parametrize("extra", [{"loose.png": png(1)}, {}], ids=["an image outside", "one folder"])
def test_without_two_class_folders_there_are_no_labels(tmp_path: Path, opened: Opener, extra: dict[str, bytes]) -> None:
    files = CLASSES if extra else {"cat/1.png": png(1), "cat/sub/2.png": png(2)}
    images = opened(write(tmp_path / "mine", files | extra))
    assert images.labels is None
    assert images.classes is None


def test_labels_stay_with_their_images_when_others_are_skipped(tmp_path: Path, opened: Opener) -> None:
    root = write(tmp_path / "mine", CLASSES | {"ant/1.png": b"broken"})
    images = opened(root, max_broken_share=0.5)
    assert images.labels is not None
    assert images.labels.tolist() == [0, 0, 1, 1, 1, 2, 2, 2]
    assert reds(images)[:3] == [0, 40, 0]


def test_a_circle_of_links_ends(tmp_path: Path, opened: Opener) -> None:
    root = write(tmp_path / "mine", {"a/1.png": png(1)})
    (root / "a" / "again").symlink_to(root, target_is_directory=True)
    assert len(opened(root)) == 1


@pytest.mark.parametrize("pack", [zipped, tarred])
@pytest.mark.parametrize("wrapper", ["", "mine/"])
def test_an_archive_equals_its_folder(
    tmp_path: Path, opened: Opener, wrapper: str, pack: Callable[[Path, dict[str, bytes]], Path]
) -> None:
    folder = opened(write(tmp_path / "mine", CLASSES))
    packed = opened(pack(tmp_path / "packed", {wrapper + name: data for name, data in CLASSES.items()}))
    np.testing.assert_array_equal(packed.images, folder.images)
    np.testing.assert_array_equal(packed.labels, folder.labels)
    assert (packed.classes, packed.digest) == (folder.classes, folder.digest)


def test_the_digest_tells_contents_apart(tmp_path: Path, opened: Opener) -> None:
    root = write(tmp_path / "mine", CLASSES)
    digests = {
        opened(root).digest,
        opened(root, image_size=16).digest,
        opened(root, channels=1).digest,
        opened(write(tmp_path / "b", CLASSES | {"cat/0.png": png(9)})).digest,
        opened(write(tmp_path / "c", {name.replace("cat", "dog"): data for name, data in CLASSES.items()})).digest,
        opened("faces", count_faces=9).digest,
        opened("faces", count_faces=8).digest,
    }
    assert len(digests) == 7


def test_a_second_start_decodes_nothing(tmp_path: Path, opened: Opener) -> None:
    root = write(tmp_path / "mine", PLAIN)
    first = opened(root)
    assert opened.decoded == 20
    for file in root.iterdir():  # the same names, sizes and times, but nothing to decode any more
        status = file.stat()
        file.write_bytes(b"\0" * status.st_size)
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    second = opened(root)
    assert opened.decoded == 0
    np.testing.assert_array_equal(second.images, first.images)
    assert second.digest == first.digest
    assert not second.images.flags.writeable


@pytest.mark.parametrize("change", ["touched", "added", "removed", "renamed", "settings"])
def test_a_change_is_noticed(tmp_path: Path, opened: Opener, change: str) -> None:
    root = write(tmp_path / "mine", PLAIN)
    opened(root)
    if change == "touched":
        os.utime(root / "03.png", ns=(1, 1))
    elif change == "added":
        write(root, {"20.png": png(255)})
    elif change == "removed":
        (root / "03.png").unlink()
    elif change == "renamed":
        (root / "03.png").rename(root / "99.png")
    images = opened(root, fit="squash" if change == "settings" else "crop")
    assert opened.decoded == len(images) > 0


@pytest.mark.parametrize(
    "damage", ["pixels cut", "pixels changed", "pixels gone", "no json", "half json", "other json"]
)
def test_a_damaged_cache_is_built_again(tmp_path: Path, opened: Opener, damage: str) -> None:
    root = write(tmp_path / "mine", PLAIN)
    good = np.array(opened(root).images)
    (pixels,), (meta,) = opened.cache.glob("*.npy"), opened.cache.glob("*.json")
    content = bytearray(pixels.read_bytes())
    if damage == "pixels cut":
        pixels.write_bytes(content[:-1])
    elif damage == "pixels changed":
        content[-200] ^= 1
        pixels.write_bytes(content)
    elif damage == "pixels gone":
        pixels.unlink()
    elif damage == "no json":
        meta.unlink()
    elif damage == "half json":
        meta.write_bytes(meta.read_bytes()[:50])
    else:
        meta.write_text(json.dumps({"shape": [1, 8, 8, 3]}))
    again = opened(root)
    assert opened.decoded == 20
    np.testing.assert_array_equal(again.images, good)


def test_broken_files_are_skipped_and_named(tmp_path: Path, opened: Opener) -> None:
    bad = {"zero.png": b"", "text.jpg": b"hello", "half.png": png(5, 64)[:90]}
    images = opened(write(tmp_path / "mine", PLAIN | bad), max_broken_share=0.2)
    assert reds(images) == [10 * i for i in range(20)]
    (report,) = opened.cache.glob("*.broken.txt")
    assert report.read_text().splitlines() == list(images.broken)
    assert [line.split(": ")[0] for line in images.broken] == ["half.png", "text.jpg", "zero.png"]
    assert "empty" in images.broken[2]
    assert opened(tmp_path / "mine", max_broken_share=0.2).broken == images.broken


def test_too_many_broken_files_are_an_error_every_time(tmp_path: Path, opened: Opener) -> None:
    root = write(tmp_path / "mine", PLAIN | {"x.png": b"", "y.png": b""})
    for _ in range(2):
        with pytest.raises(DatasetError, match=r"2 of 22 images in mine cannot be read, the first is x\.png: an empty"):
            opened(root)
    assert opened.decoded == 0
    assert len(opened(root, max_broken_share=0.1)) == 20


def test_nothing_but_broken_files_is_an_error_at_any_share(tmp_path: Path, opened: Opener) -> None:
    with pytest.raises(DatasetError, match="1 of 1"):
        opened(write(tmp_path / "mine", {"x.png": b""}), max_broken_share=1.0)


def test_a_link_to_nowhere_is_a_broken_file(tmp_path: Path, opened: Opener) -> None:
    root = write(tmp_path / "mine", PLAIN)
    (root / "gone.png").symlink_to(tmp_path / "nowhere.png")
    assert "gone.png: No such file" in opened(root).broken[0]


def test_a_pipe_is_not_waited_for(tmp_path: Path, opened: Opener) -> None:
    root = write(tmp_path / "mine", PLAIN)
    os.mkfifo(root / "pipe.png")
    assert len(opened(root)) == 20


def test_strange_names_stay_on_one_line(tmp_path: Path, opened: Opener) -> None:
    root = write(tmp_path / "mine", PLAIN)
    (root / os.fsdecode(b"two\nlines\xff.png")).write_bytes(b"")
    assert opened(root).broken == ("two?lines?.png: an empty file",)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, r"no folder, \.zip or \.tar file .*; the built-in dataset is `faces`"),
        (lambda path: path.mkdir(), "holds no images"),
        (lambda path: write(path, {"a.txt": b"text"}), "holds no images"),
        (lambda path: path.write_bytes(b"PK, but not really"), r"cannot be opened as a \.zip"),
        (lambda path: zipped(path, {"a.txt": b"text"}), "holds no images"),
        (lambda path: zipped(path, PLAIN).write_bytes(path.read_bytes()[:-400]), r"cannot be opened as a \.zip"),
    ],
    ids=["missing", "empty folder", "no images", "no zip", "zip without images", "half a zip"],
)
def test_unusable_data_is_one_clear_line(tmp_path: Path, opened: Opener, make: object, message: str) -> None:
    make(tmp_path / "mine")  # type: ignore[operator]
    with pytest.raises(DatasetError, match=message) as caught:
        opened(tmp_path / "mine")
    assert "\n" not in str(caught.value)


def test_an_encrypted_archive_says_so(tmp_path: Path, opened: Opener) -> None:
    content = bytearray(zipped(tmp_path / "a.zip", PLAIN).read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.find(signature)
        content[at + offset] |= 1
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(DatasetError, match="encrypted: unpack it"):
        opened(tmp_path / "a.zip")


def test_names_that_leave_the_archive_are_passed_over(tmp_path: Path, opened: Opener) -> None:
    hostile = {"../up.png": png(1), "/etc/root.png": png(2), "a/../../b.png": png(3)}
    images = opened(zipped(tmp_path / "a.zip", PLAIN | hostile))
    assert reds(images) == [10 * i for i in range(20)]
    assert {path.name for path in tmp_path.rglob("*.png")} == set()


def test_a_member_that_is_too_large_is_not_unpacked(
    tmp_path: Path, opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "MAX_FILE", 1000)
    images = opened(zipped(tmp_path / "a.zip", PLAIN | {"z.png": b"\0" * 1001}))
    assert images.broken == ("z.png: 1,001 bytes unpacked, more than 1,000",)


def test_a_member_that_is_more_than_it_says_is_cut_off(tmp_path: Path, opened: Opener) -> None:
    content = bytearray(zipped(tmp_path / "a.zip", PLAIN | {"z.png": b"\0" * 50_000_000}).read_bytes())
    at = content.rfind(b"PK\x01\x02")
    content[at + 24 : at + 28] = (100).to_bytes(4, "little")  # its size unpacked, in the directory
    (tmp_path / "a.zip").write_bytes(content)
    tracemalloc.start()
    (line,) = opened(tmp_path / "a.zip").broken
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert line.startswith("z.png: damaged in the .zip: Bad CRC")
    assert peak < 10_000_000


def test_a_damaged_member_is_skipped(tmp_path: Path, opened: Opener) -> None:
    content = bytearray(zipped(tmp_path / "a.zip", PLAIN).read_bytes())
    content[content.find(b"07.png") + 20] ^= 0xFF
    (tmp_path / "a.zip").write_bytes(content)
    (line,) = opened(tmp_path / "a.zip").broken
    assert line.startswith("07.png: damaged in the .zip")


def test_a_full_disk_is_an_error_that_leaves_nothing(tmp_path: Path, opened: Opener) -> None:
    root = write(tmp_path / "mine", PLAIN)
    with disk_full_after(2000), pytest.raises(DatasetError, match="free some space") as caught:
        opened(root)
    assert "\n" not in str(caught.value)
    assert list(opened.cache.iterdir()) == []
    assert len(opened(root)) == 20


def test_an_interrupted_build_leaves_nothing(tmp_path: Path, opened: Opener) -> None:
    def interrupt(done: int, total: int, what: str) -> None:
        if done:
            raise KeyboardInterrupt

    root = write(tmp_path / "mine", PLAIN)
    with pytest.raises(KeyboardInterrupt):
        open_images(str(root), SMALL, cache_dir=opened.cache, progress=interrupt)
    assert list(opened.cache.iterdir()) == []


def test_a_killed_build_is_no_cache_and_is_cleared_away_later(tmp_path: Path, opened: Opener) -> None:
    root = write(tmp_path / "mine", PLAIN)
    code = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom wgan.training.data import open_images\n"
        "from wgan.training.data.decode import Shape\n"
        "def kill(done, total, what):\n    if done: os.kill(os.getpid(), signal.SIGKILL)\n"
        "open_images(sys.argv[1], Shape(8, 3, 'crop'), cache_dir=Path(sys.argv[2]), progress=kill)\n"
    )
    process = subprocess.run([sys.executable, "-c", code, root, opened.cache], check=False)
    assert process.returncode == -9
    (left,) = opened.cache.iterdir()
    assert left.suffix == ".tmp"
    assert len(opened(root)) == 20
    assert opened.decoded == 20
    assert not left.exists()


def test_two_builders_at_once_end_with_one_whole_cache(tmp_path: Path, opened: Opener) -> None:
    root = write(tmp_path / "mine", PLAIN)
    inner = Opener(opened.cache)

    def other_builder(done: int, total: int, what: str) -> None:
        if done == 0:
            subprocess.run([sys.executable, "-c", code, root, opened.cache], check=True)

    code = (
        "import sys\nfrom pathlib import Path\nfrom wgan.training.data import open_images\n"
        "from wgan.training.data.decode import Shape\n"
        "open_images(sys.argv[1], Shape(8, 3, 'crop'), cache_dir=Path(sys.argv[2]))\n"
    )
    mine = open_images(str(root), SMALL, cache_dir=opened.cache, progress=other_builder)
    assert reds(mine) == [10 * i for i in range(20)]
    assert len(inner(root)) == 20
    assert inner.decoded == 0
    assert sorted(path.suffix for path in opened.cache.iterdir()) == [".gz", ".json", ".npy"]


def test_faces_are_drawn_once_with_their_hair_colours(opened: Opener) -> None:
    images = opened("faces", image_size=32, count_faces=16)
    assert opened.decoded == 16
    assert images.classes == faces.CLASSES
    assert images.labels is not None
    for i in (0, 15):
        image, label = faces.draw_face(i, 32)
        np.testing.assert_array_equal(images.images[i], image)
        assert images.labels[i] == label
    opened("faces", image_size=32, count_faces=16)
    assert opened.decoded == 0


def test_faces_can_be_grey(opened: Opener) -> None:
    assert opened("faces", image_size=32, channels=1, count_faces=4).images.shape == (4, 32, 32, 1)


def test_faces_have_sizes_of_their_own(opened: Opener) -> None:
    with pytest.raises(DatasetError, match="not 48"):
        opened("faces", image_size=48, count_faces=4)


def test_held_out_faces_are_none_of_the_training_set(tmp_path: Path, opened: Opener) -> None:
    settings = {"image_size": 32, "channels": 3, "cache_dir": opened.cache, "count": 16}
    unseen = held_out("faces", **settings)  # type: ignore[arg-type]
    assert unseen is not None
    np.testing.assert_array_equal(unseen.images[0], faces.draw_face(faces.HELD_OUT, 32)[0])
    seen = {image.tobytes() for image in opened("faces", image_size=32, count_faces=64).images}
    assert not seen & {image.tobytes() for image in unseen.images}
    assert held_out(str(tmp_path), **settings) is None  # type: ignore[arg-type]
