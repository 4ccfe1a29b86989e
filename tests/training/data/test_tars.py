"""WebDataset tars as training data: classes, shards, and archives that are damaged or strange."""

import io
import os
import tarfile
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from tests.training.data.test_data import CLASSES, PLAIN, SMALL, Opener, png, reds, tarred, write
from tests.training.data.test_generated import sample
from wgan.serve.base.errors import DatasetError
from wgan.training.data import archive, braces, tar_index
from wgan.training.data.sources import open_source
from wgan.training.recipes import look_at


@pytest.fixture
def opened(tmp_path: Path) -> Opener:
    return Opener(tmp_path / "cache")


def labelled(labels: list[object]) -> dict[str, bytes]:
    """Samples as WebDataset keeps them."""
    files = {}
    for i, label in enumerate(labels):
        files |= {f"{i:04}.png": png(i), f"{i:04}.cls": str(label).encode(), f"{i:04}.json": b"{}"}
    return files


def test_shards_are_one_set_in_the_order_of_the_names_in_them(tmp_path: Path, opened: Opener) -> None:
    folder = opened(write(tmp_path / "mine", CLASSES))
    names = list(CLASSES)
    for shard in range(3):
        tarred(tmp_path / f"faces-{shard:06}.tar", {name: CLASSES[name] for name in names[shard::3]})
    shards = opened(tmp_path / "faces-{000000..000002}.tar")
    assert (shards.digest, shards.classes, shards.name) == (folder.digest, folder.classes, "faces-{000000..000002}.tar")
    assert shards.contents == folder.contents


def test_a_folder_of_tars_alone_is_their_images(tmp_path: Path, opened: Opener) -> None:
    (tmp_path / "mine").mkdir()
    tarred(tmp_path / "mine" / "b.tar", {"2.png": png(2)})
    tarred(tmp_path / "mine" / "a.tar", {"1.png": png(1), "3.png": png(3)})
    assert reds(opened(tmp_path / "mine")) == [1, 2, 3]


def test_a_cls_member_is_its_images_class(tmp_path: Path, opened: Opener) -> None:
    images = opened(tarred(tmp_path / "a.tar", labelled([10, 2, "03\n", 2])))
    assert images.classes == ("2", "3", "10")
    assert images.labels is not None
    assert images.labels.tolist() == [2, 0, 1, 0]
    look = look_at(str(tmp_path / "a.tar"), count_faces=1)
    assert (look.images, look.classes, look.smallest) == (4, 3, 1)


def test_names_of_classes_go_before_folders(tmp_path: Path, opened: Opener) -> None:
    files = {f"{folder}/{name}": data for folder in "xy" for name, data in labelled(["cat", "ant"]).items()}
    images = opened(tarred(tmp_path / "a.tar", files))
    assert images.classes == ("ant", "cat")
    assert images.labels is not None
    assert images.labels.tolist() == [1, 0, 1, 0]


def test_several_images_of_a_sample_have_its_class(tmp_path: Path, opened: Opener) -> None:
    files = {"1.left.png": png(1), "1.right.png": png(2), "1.cls": b"3", "2.x.png": png(3), "2.x.cls": b"4"}
    labels = opened(tarred(tmp_path / "a.tar", files)).labels
    assert labels is not None
    assert labels.tolist() == [0, 0, 1]


def test_where_an_image_has_no_class_there_are_none(tmp_path: Path, opened: Opener) -> None:
    assert opened(tarred(tmp_path / "a.tar", labelled([1, 2]) | {"x.png": png(9)})).classes is None


@pytest.mark.parametrize("text", [b"", b"\xff", b"a\nb", b"x" * 101, b"1" * 1000])
def test_a_class_that_is_none_is_one_line(tmp_path: Path, opened: Opener, text: bytes) -> None:
    with pytest.raises(DatasetError, match=r"^0001\.cls in a\.tar names no class: it must hold a number or a short"):
        opened(tarred(tmp_path / "a.tar", labelled([1, 2, 3]) | {"0001.cls": text}))


def test_the_same_names_in_two_tars_are_images_of_each(tmp_path: Path, opened: Opener) -> None:
    for shard in range(2):
        files = {"0.png": png(10 * shard), "0.cls": str(shard).encode(), "1.png": png(10 * shard + 1), "1.cls": b"7"}
        tarred(tmp_path / f"{shard}.tar", files)
    images = opened(tmp_path / "{0..1}.tar")
    assert reds(images) == [0, 1, 10, 11]
    assert images.labels is not None
    assert images.labels.tolist() == [0, 2, 1, 2]
    assert open_source(str(tmp_path / "{0..1}.tar"), count_faces=1).names[:3] == [
        "0.tar/0.png",
        "0.tar/1.png",
        "1.tar/0.png",
    ]


def test_of_a_name_that_a_tar_holds_twice_the_last_one_counts(tmp_path: Path, opened: Opener) -> None:
    path = tarred(tmp_path / "a.tar", {"1.png": png(1), "2.png": png(2)})
    with tarfile.open(path, "a") as file:
        info = tarfile.TarInfo("1.png")
        info.size = len(png(9))
        file.addfile(info, io.BytesIO(png(9)))
    assert reds(opened(path)) == [9, 2]


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_format_and_long_names(tmp_path: Path, opened: Opener, format: int) -> None:
    long = "/".join(["deep" * 10] * 4) if format == tarfile.USTAR_FORMAT else "/".join(["déép" * 20] * 4)
    images = opened(tarred(tmp_path / "a.tar", {f"./{long}/1.png": png(1), "2.png": png(2)}, format=format))
    source = open_source(str(tmp_path / "a.tar"), count_faces=1)
    assert source.names == sorted(["2.png", f"{long}/1.png"])
    assert len(images) == 2


def test_what_is_no_plain_file_is_skipped_and_named(tmp_path: Path, opened: Opener) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as file:
        for kind, name in (("SYMTYPE", "soft"), ("LNKTYPE", "hard"), ("FIFOTYPE", "pipe"), ("DIRTYPE", "folder")):
            info = tarfile.TarInfo(f"{name}.png")
            info.type, info.linkname = getattr(tarfile, kind), "/etc/passwd"
            file.addfile(info)
        holed = tarfile.TarInfo("holed.png")
        holed.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.name": "real.png"}
        file.addfile(holed)
        for name, data in (PLAIN | dict.fromkeys(["../up.png", "/etc/root.png", "a/../../b.png"], png(1))).items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    images = opened(path, max_broken_share=0.2)
    assert reds(images) == [10 * i for i in range(20)]
    assert images.broken == (
        "hard.png: a link in the tar, and no file",
        "real.png: a sparse file in the tar, and no plain one",
        "soft.png: a link in the tar, and no file",
    )
    assert list(tmp_path.rglob("*.png")) == []


def test_an_old_sparse_member_and_the_one_after_it(tmp_path: Path, opened: Opener) -> None:
    holed = bytearray(tarfile.TarInfo("holed.png").tobuf(tarfile.GNU_FORMAT))
    holed[156:157], holed[124:136], holed[482:483] = b"S", b"%011o\0" % 5, b"\1"
    holed[148:156] = b" " * 8
    holed[148:156] = b"%06o\0 " % sum(holed)
    rest = tarred(tmp_path / "a.tar", PLAIN).read_bytes()
    (tmp_path / "a.tar").write_bytes(bytes(holed) + bytes(504) + b"\1" + bytes(7) + bytes(512) + b"x" * 512 + rest)
    images = opened(tmp_path / "a.tar")
    assert (len(images), images.broken) == (20, ("holed.png: a sparse file in the tar, and no plain one",))


def test_a_member_that_is_too_large_is_not_read(
    tmp_path: Path, opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "MAX_FILE", 1000)
    images = opened(tarred(tmp_path / "a.tar", PLAIN | {"z.png": b"\0" * 1001}))
    assert images.broken == ("z.png: 1,001 bytes unpacked, more than 1,000",)


def damaged(path: Path, damage: str) -> None:
    content = bytearray(tarred(path, PLAIN).read_bytes())
    third = content.find(b"03.png")
    if damage == "cut in an image":
        content = content[: third + 600]
    elif damage == "cut in a header":
        content = content[: third + 100]
    elif damage == "a header changed":
        content[third + 20] ^= 1
    elif damage == "not even a header":
        content = bytearray(b"text " * 300)
    elif damage == "nothing":
        content.clear()
    elif damage == "zeros":
        content = bytearray(10240)
    elif damage == "a name without end":
        info = tarfile.TarInfo("././@LongLink")
        info.type, info.size = tarfile.GNUTYPE_LONGNAME, 2**40
        content = bytearray(info.tobuf(tarfile.GNU_FORMAT)) + content
    elif damage == "a pax header of nonsense":
        info = tarfile.TarInfo("x")
        info.type, info.size = tarfile.XHDTYPE, 6
        content = bytearray(info.tobuf(tarfile.USTAR_FORMAT)) + b"9 a=b\n" + bytes(506) + content
    elif damage == "gzip":
        content = bytearray(b"\x1f\x8b\x08") + content
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ("cut in an image", r"is cut off in the middle of 03\.png: fetch or make it again"),
        ("cut in a header", "is cut off at byte 3,072: fetch"),
        ("a header changed", "is damaged at byte 3,072: fetch"),
        ("not even a header", "is no tar: fetch"),
        ("nothing", "is empty: fetch"),
        ("zeros", "is no tar: it begins with nothing"),
        ("a name without end", "has a header of 1,099,511,627,776 bytes, more than"),
        ("a pax header of nonsense", "is damaged: a pax header in it makes no sense"),
        ("gzip", "is compressed with gzip, and images are read out of a tar by their places in it: unpack it"),
    ],
)
def test_a_damaged_tar_is_one_line(tmp_path: Path, opened: Opener, damage: str, says: str) -> None:
    damaged(tmp_path / "a.tar", damage)
    tracemalloc.start()
    with pytest.raises(DatasetError, match=rf"a\.tar {says}") as caught:
        opened(tmp_path / "a.tar")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "\n" not in str(caught.value)
    assert peak < 5_000_000


@pytest.mark.parametrize(
    ("field", "value"), [("size", b"\xff" * 12), ("size", b"-0000000512\0"), ("size", b"00000x00000\0")]
)
def test_a_size_that_is_none_ends_the_reading(tmp_path: Path, opened: Opener, field: str, value: bytes) -> None:
    content = bytearray(tarred(tmp_path / "a.tar", PLAIN).read_bytes())
    content[124:136], content[148:156] = value, b" " * 8
    content[148:156] = b"%06o\0 " % sum(content[:512])
    (tmp_path / "a.tar").write_bytes(content)
    with pytest.raises(DatasetError, match="is damaged: a size in it is no number"):
        opened(tmp_path / "a.tar")


def test_a_tar_without_its_end_is_whole(tmp_path: Path, opened: Opener) -> None:
    path = tarred(tmp_path / "a.tar", {"1.png": png(1)})
    path.write_bytes(path.read_bytes()[: 512 + -(-len(png(1)) // 512) * 512])
    assert reds(opened(path)) == [1]


def test_missing_shards_are_one_line(tmp_path: Path, opened: Opener) -> None:
    tarred(tmp_path / "a-1.tar", PLAIN)
    with pytest.raises(DatasetError) as caught:
        opened(tmp_path / "a-{0..9}.tar")
    assert str(caught.value) == (
        f"{tmp_path}/a-{{0..9}}.tar stands for 10 files, and 9 of them are not there, such as {tmp_path}/a-0.tar: "
        "bring them, or name those that are there"
    )


@pytest.mark.parametrize("change", ["touched", "other images", "another place"])
def test_a_changed_tar_is_noticed(tmp_path: Path, opened: Opener, change: str) -> None:
    path = tarred(tmp_path / "a.tar", PLAIN)
    opened(path)
    opened(path)
    assert opened.decoded == 0
    if change == "touched":
        os.utime(path, ns=(1, 1))
    elif change == "other images":
        tarred(path, PLAIN | {"x.png": png(7)})
    else:
        path = path.rename(tmp_path / "b.tar")
    assert len(opened(path)) == opened.decoded > 0


def test_threads_read_what_is_theirs(tmp_path: Path) -> None:
    source = open_source(str(tarred(tmp_path / "a.tar", {f"{i:03}.png": png(i) for i in range(100)})), count_faces=1)
    seen = np.zeros((4, 100), int)

    def read(thread: int) -> None:
        for i in range(100):
            seen[thread, i] = source.load(i, SMALL)[0, 0, 0]

    threads = [threading.Thread(target=read, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (seen == np.arange(100)).all()


def test_shards_that_wgan_made_are_no_data_and_none_of_a_class(tmp_path: Path, opened: Opener) -> None:
    made = sample(tmp_path / "made.tar")
    tarred(tmp_path / "mine.tar", labelled([0, 1, 1]))
    images = opened(tmp_path / "{made,mine}.tar")
    assert reds(images) == [0, 1, 2]
    assert images.classes == ("0", "1")
    assert images.skipped == "skipped what wgan made, as it is no data: 3 images (such as seed-000000.png)"
    with pytest.raises(DatasetError, match="holds no images but those that wgan made"):
        opened(made)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a.tar", ["a.tar"]),
        ("a-{000..002}.tar", ["a-000.tar", "a-001.tar", "a-002.tar"]),
        ("{9..11}", ["9", "10", "11"]),
        ("{09..11}", ["09", "10", "11"]),
        ("{3..1}", ["3", "2", "1"]),
        ("{0..10..5}", ["0", "5", "10"]),
        ("{10..0..-5}", ["10", "5", "0"]),
        ("{c..a}", ["c", "b", "a"]),
        ("{x,y}{0..1}", ["x0", "x1", "y0", "y1"]),
        ("{train-{0..1},more}.tar", ["train-0.tar", "train-1.tar", "more.tar"]),
        ("a{,b}", ["a", "ab"]),
        ("{x}", ["{x}"]),
        ("{x{1,2}}", ["{x1}", "{x2}"]),
        ("{a", ["{a"]),
        ("}a{1,2}", ["}a1", "}a2"]),
    ],
)
def test_braces_are_those_of_webdataset(text: str, names: list[str]) -> None:
    assert braces.expanded(text) == names
    assert braces.has_braces(text) == (names != [text])


def test_a_range_without_end_is_one_line() -> None:
    with pytest.raises(DatasetError, match="stands for more than 100,000 files"):
        braces.expanded("{0..999999999999}{0..9999999999}")


def test_a_name_with_braces_that_is_there_is_itself(tmp_path: Path, opened: Opener) -> None:
    assert reds(opened(tarred(tmp_path / "a{1,2}.tar", {"1.png": png(1)}))) == [1]


def test_headers_of_signed_bytes_are_read(tmp_path: Path) -> None:
    header = bytearray(tarfile.TarInfo("a").tobuf(tarfile.GNU_FORMAT, "utf-8"))
    header[0:2], header[148:156] = "é".encode(), b" " * 8
    header[148:156] = b"%06o\0 " % sum(byte - 256 * (byte > 127) for byte in header)
    assert [m.name for m in tar_index.members_of(io.BytesIO(header), 512)] == ["é"]
