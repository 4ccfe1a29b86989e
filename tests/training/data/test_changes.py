"""What is kept of a data set's images, and what is said of those that are others later."""

import gzip
import json
from functools import partial
from pathlib import Path

import pytest

from tests.training.data.test_data import CLASSES, SMALL, Opener, png, write, zipped
from wgan.training.data import ImageSet, contents, open_images
from wgan.training.data.changes import Changes, compare, short


def listed(images: ImageSet) -> contents.Contents:
    assert images.contents is not None
    found = contents.unpack(images.contents, images.digest)
    assert found is not None
    return found


@pytest.fixture
def opened(tmp_path: Path) -> Opener:
    return Opener(tmp_path / "cache")


def test_the_images_are_listed_with_a_digest_of_their_pixels(tmp_path: Path, opened: Opener) -> None:
    root = write(tmp_path / "mine", CLASSES | {"cat/broken.png": b"", "cat/same.png": png(0)})
    found = listed(opened(root, max_broken_share=0.5))
    assert list(found) == sorted([*CLASSES, "cat/same.png"])
    assert found["cat/same.png"] == found["ant/0.png"] != found["ant/1.png"]
    assert all(len(digest) == contents.DIGITS for digest in found.values())


def test_packed_or_not_and_from_the_cache_the_list_is_the_same(tmp_path: Path, opened: Opener) -> None:
    first = opened(write(tmp_path / "mine", CLASSES)).contents
    assert first == opened(tmp_path / "mine").contents == opened(zipped(tmp_path / "a.zip", CLASSES)).contents
    assert opened.decoded == len(CLASSES)


def test_drawn_faces_have_no_list(opened: Opener) -> None:
    assert opened("faces", image_size=8, count_faces=4).contents is None
    assert opened("faces", image_size=8, count_faces=4).contents is None
    assert opened.decoded == 0


@pytest.mark.parametrize("damage", ["gone", "cut", "changed", "of an earlier version"])
def test_a_cache_without_a_whole_list_is_built_again(tmp_path: Path, opened: Opener, damage: str) -> None:
    root = write(tmp_path / "mine", CLASSES)
    good = opened(root).contents
    (names,), (meta,) = opened.cache.glob("*.names.gz"), opened.cache.glob("*.json")
    if damage == "gone":
        names.unlink()
    elif damage == "cut":
        names.write_bytes(names.read_bytes()[:-1])
    elif damage == "changed":
        names.write_bytes(names.read_bytes()[:-1] + b"?")
    else:
        names.unlink()
        held = json.loads(meta.read_text())
        del held["names_crc"]
        meta.write_text(json.dumps(held))
    assert opened(root).contents == good
    assert opened.decoded == len(CLASSES)


def test_a_name_that_an_archive_holds_twice_is_one(tmp_path: Path, opened: Opener) -> None:
    import zipfile

    path = zipped(tmp_path / "a.zip", CLASSES)
    before = listed(opened(path))
    with zipfile.ZipFile(path, "a") as file, pytest.warns(UserWarning, match="Duplicate name"):
        file.writestr("cat/0.png", png(77))
    images = open_images(str(path), SMALL, cache_dir=opened.cache)
    assert compare(before, listed(images)) == Changes([], [], ["cat/0.png"], [])


# without the time: every worker must give the tests the same names
compress = partial(gzip.compress, mtime=0)


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        b"no gzip",
        compress(b"no json"),
        compress(b"[1]"),
        compress(b'"text"'),
        compress(b'{"schema": 1, "digest": "d"}'),
        compress(b'{"schema": 1, "digest": "d", "names": 5, "pixels": ""}'),
        compress(b'{"schema": 1, "digest": "d", "names": [[]], "pixels": "0123456789abcdef"}'),
        compress(b'{"schema": 1, "digest": "d", "names": [7], "pixels": "0123456789abcdef"}'),
        compress(b'{"schema": 1, "digest": "d", "names": ["a"], "pixels": "0123"}'),
        compress(b'{"schema": 2, "digest": "d", "names": [], "pixels": ""}'),
        compress(b'{"schema": 1, "digest": "e", "names": [], "pixels": ""}'),
        compress(b"[" * 100_000),
        contents.pack(["a"], ["0" * 16], "d")[:-9],
        contents.pack(["a"], ["0" * 16], "d")[:12] + b"\xff" * 40,
    ],
)
def test_what_is_no_list_of_this_data_is_none(packed: bytes) -> None:
    assert contents.unpack(packed, "d") is None


def test_a_list_that_unpacks_without_end_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = contents.pack([f"{number}.png" for number in range(1000)], ["0" * 16] * 1000, "d")
    assert contents.unpack(packed, "d") is not None
    monkeypatch.setattr(contents, "MOST", 1000)
    assert contents.unpack(packed, "d") is None


def test_names_of_any_bytes_are_kept() -> None:
    names = ["猫.png", "two\nlines.png", "\udcff.png"]
    assert list(contents.unpack(contents.pack(names, ["0" * 16] * 3, "d"), "d") or ()) == names


def test_images_are_told_apart_by_name_and_pixels() -> None:
    before = {"a": "1", "b": "2", "c": "3", "d": "4", "e": "4", "f": "6"}
    now = {"a": "1", "b": "9", "x": "4", "y": "3", "z": "8", "f": "6"}
    found = compare(before, now)
    assert found == Changes(["z"], ["e"], ["b"], [("d", "x"), ("c", "y")])
    assert found.counts() == {"added": 1, "removed": 1, "altered": 1, "renamed": 2}
    assert found.told() == "1 added (z), 1 removed (e), 1 altered (b), 2 renamed (d to x, c to y)"
    assert compare(before, before) == Changes([], [], [], [])


def test_of_many_the_first_are_named() -> None:
    found = compare({}, {f"{number:04}.png": str(number) for number in range(1234)})
    assert found.told() == "1,234 added (0000.png, 0001.png, 0002.png, …)"
    assert compare({}, dict.fromkeys("abc", "1")).told() == "3 added (a, b, c)"


def test_a_long_name_keeps_both_its_ends() -> None:
    name = f"a folder/{'x' * 200}/the end of it.png"
    assert short(name).startswith("a folder/xxxxxxx…")
    assert short(name).endswith("/the end of it.png")
    assert len(short(name)) == 49
    assert short("x" * 48) == "x" * 48
    assert short("a\nb") == "a?b"
