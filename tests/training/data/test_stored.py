"""Training data in object storage: fetched once into the cache, gone on with after a break, refused in a line."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.fakes.full_disk import disk_full_after
from tests.fakes.object_store import SECRETS, Bucket, Faulty
from tests.training.data.test_data import CLASSES, PLAIN, SMALL, Opener, png, reds, tarred, write, zipped
from tests.training.data.test_generated import run_folder, sample
from wgan.serve.base.errors import DatasetError, StoreError, WganError
from wgan.serve.storage import asking, transfer
from wgan.training.config import from_dict, load
from wgan.training.data import fetched, open_images, stored
from wgan.training.recipes import Look, look_at

Proxy = Callable[..., Faulty]


@pytest.fixture
def opened(tmp_path: Path) -> Opener:
    return Opener(tmp_path / "cache")


def put(s3: Bucket, files: dict[str, bytes], prefix: str = "photos/") -> str:
    for name, content in files.items():
        s3.put(f"{prefix}{name}", content)
    return s3.address(prefix.rstrip("/"))


def gets(proxy: Faulty) -> list[str]:
    """The objects that were read."""
    paths = [path.partition("?") for method, path, _ in proxy.requests if method == "GET"]
    return [path for path, _, query in paths if "list-type" not in query]


def listings(proxy: Faulty) -> int:
    return sum("list-type" in path for _, path, _ in proxy.requests)


def left(opened: Opener) -> list[Path]:
    """Fetched files that are in the cache."""
    return [path for folder in opened.cache.glob("*.fetch") for path in folder.iterdir()]


SHARDS = "faces-{000000..000002}.tar"


def packed(s3: Bucket, folder: Path, kind: str) -> str:
    """`CLASSES` in a bucket in one of the ways that they may lie there."""
    if kind == "prefix":
        return put(s3, CLASSES | {"notes.txt": b"x", "ant/": b""})
    if kind == "zip":
        s3.put("a/photos.zip", zipped(folder / "a.zip", CLASSES).read_bytes())
        return s3.address("a/photos.zip")
    names = list(CLASSES)
    for shard in range(3):
        part = tarred(folder / "a.tar", {name: CLASSES[name] for name in names[shard::3]})
        s3.put(f"a/faces-{shard:06}.tar", part.read_bytes())
    return s3.address({"tars": f"a/{SHARDS}", "prefix of tars": "a"}[kind])


@pytest.mark.parametrize("kind", ["prefix", "zip", "tars", "prefix of tars"])
def test_a_bucket_equals_its_folder_and_is_fetched_once(
    tmp_path: Path, opened: Opener, s3: Bucket, faulty: Proxy, kind: str
) -> None:
    folder = opened(write(tmp_path / "mine", CLASSES))
    data, proxy = packed(s3, tmp_path, kind), faulty()
    first = opened(data)
    assert (first.digest, first.classes, first.contents) == (folder.digest, folder.classes, folder.contents)
    assert first.name == data.rpartition("/")[2]
    assert left(opened) == []
    assert len(gets(proxy)) == len(set(gets(proxy)))
    assert (listings(proxy) > 0) == (kind != "zip")
    before = len(proxy.requests)
    again = opened(data)
    assert (again.digest, again.classes, again.skipped) == (first.digest, first.classes, None)
    np.testing.assert_array_equal(again.labels, first.labels)
    new = proxy.requests[before:]
    assert opened.decoded == 0
    assert all(method == "HEAD" or "list-type" in path for method, path, _ in new)
    assert len(new) <= 2  # the last page of a listing is an empty one


@pytest.mark.parametrize("change", ["added", "removed", "other bytes"])
def test_a_changed_bucket_is_noticed(opened: Opener, s3: Bucket, change: str) -> None:
    data = put(s3, PLAIN)
    opened(data)
    if change == "added":
        s3.put("photos/99.png", png(255))
    elif change == "removed":
        s3.delete("photos/19.png")
    else:
        s3.put("photos/19.png", png(191))
    assert reds(opened(data)) == {
        "added": [*range(0, 200, 10), 255], "removed": [*range(0, 190, 10)], "other bytes": [*range(0, 190, 10), 191]
    }[change]  # fmt: skip


def test_after_an_interruption_the_rest_is_fetched_and_what_changed(
    opened: Opener, s3: Bucket, faulty: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, proxy = put(s3, PLAIN), faulty()
    monkeypatch.setattr(fetched, "REQUESTS", 1)
    monkeypatch.setattr(fetched, "_BEAT", 0)

    def interrupt(done: int, total: int, what: str) -> None:
        if "8 of 20 objects" in what:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_images(data, SMALL, cache_dir=opened.cache, progress=interrupt)
    here = len(left(opened))
    assert 8 <= here < 20
    s3.put("photos/00.png", png(99))
    s3.delete("photos/01.png")
    before = len(gets(proxy))
    assert reds(opened(data)) == [99, *range(20, 200, 10)]
    assert len(gets(proxy)) - before <= 20 - here + 1
    assert left(opened) == []


def test_a_killed_fetch_goes_on_in_the_middle_of_a_large_object(
    tmp_path: Path, opened: Opener, s3: Bucket, faulty: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = np.random.default_rng(0).bytes(3_000_000)
    s3.put("a.tar", tarred(tmp_path / "a.tar", PLAIN | {"big.json": rows}).read_bytes())
    proxy = faulty()
    code = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom wgan.serve.storage import transfer\n"
        "from wgan.training.data import open_images, fetched\nfrom wgan.training.data.decode import Shape\n"
        "transfer.PART, transfer.REQUESTS, fetched.PART, fetched._BEAT = 2**18, 1, 2**18, 0\n"
        "def kill(done, total, what):\n    if done >= 1500: os.kill(os.getpid(), signal.SIGKILL)\n"
        "open_images(sys.argv[1], Shape(8, 3, 'crop'), cache_dir=Path(sys.argv[2]), progress=kill)\n"
    )
    process = subprocess.run([sys.executable, "-c", code, s3.address("a.tar"), opened.cache], check=False, timeout=60)
    assert process.returncode == -signal.SIGKILL
    (part,) = left(opened)
    assert 1_500_000 <= part.stat().st_size < 3_000_000
    monkeypatch.setattr(transfer, "PART", 2**18)
    monkeypatch.setattr(fetched, "PART", 2**18)
    before = len(gets(proxy))
    assert len(opened(s3.address("a.tar"))) == 20
    assert 1 <= len(gets(proxy)) - before <= 6
    assert left(opened) == []


def test_faults_on_the_way_change_nothing(
    opened: Opener, s3: Bucket, faulty: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "PAUSES", (0.01, 0.05))
    data = put(s3, PLAIN)
    proxy = faulty(seed=3, rate=0.3, delay=0.01)
    assert reds(opened(data)) == [10 * i for i in range(20)]
    assert sum(proxy.counts.values()) > proxy.counts[""]


def test_storage_that_is_gone_is_one_line_and_what_came_stays(
    opened: Opener, s3: Bucket, faulty: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "PATIENCE", 0.3)
    monkeypatch.setattr(asking, "PAUSES", (0.01, 0.05))
    monkeypatch.setattr(fetched, "REQUESTS", 1)
    monkeypatch.setattr(fetched, "_BEAT", 0)
    data, proxy = put(s3, PLAIN), faulty()

    def cut(done: int, total: int, what: str) -> None:
        proxy.down = proxy.down or " 8 of" in what

    with pytest.raises(StoreError, match=r"cannot read s3://.* \(asked again for 0.3 s\)") as caught:
        open_images(data, SMALL, cache_dir=opened.cache, progress=cut)
    assert "\n" not in str(caught.value)
    assert len(left(opened)) >= 8
    proxy.down = False
    assert len(opened(data)) == 20


@pytest.mark.parametrize("change", ["gone", "other bytes"])
def test_an_object_that_goes_or_changes_meanwhile_is_one_line(
    opened: Opener, s3: Bucket, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    data = put(s3, PLAIN)
    listing = stored.listed(data)
    if change == "gone":
        s3.delete("photos/19.png")
    else:
        s3.put("photos/19.png", png(1))
    monkeypatch.setattr(stored, "listed", lambda _: listing)
    with pytest.raises(WganError, match=r"(there is no|cannot read) s3://.*/photos/19\.png") as caught:
        opened(data)
    assert "\n" not in str(caught.value)


def test_no_room_is_one_line_before_anything_is_fetched(
    opened: Opener, s3: Bucket, faulty: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, proxy = put(s3, PLAIN), faulty()
    monkeypatch.setattr(fetched, "free", lambda _: 2000)
    with pytest.raises(DatasetError) as caught:
        opened(data)
    size = sum(map(len, PLAIN.values())) + 20 * 8 * 8 * 3
    says = f"20 objects of {data} and their images take at least {size:,} bytes, and 2,000 bytes are free"
    assert says in str(caught.value)
    assert gets(proxy) == []
    monkeypatch.setattr(fetched, "free", lambda _: size)
    assert len(opened(data)) == 20


def test_a_disk_that_is_full_in_the_middle_is_one_line(tmp_path: Path, opened: Opener, s3: Bucket) -> None:
    data = put(s3, PLAIN | {"50.bmp": bytes(5000)})
    with disk_full_after(3000), pytest.raises(DatasetError, match="^the image cache: .* free some space") as caught:
        opened(data)
    assert "\n" not in str(caught.value)
    s3.delete("photos/50.bmp")
    assert len(opened(data)) == 20


@pytest.mark.parametrize(
    ("key", "files", "says"),
    [
        ("nowhere", {}, "holds no object, neither of this key nor below it: look at its bucket and key"),
        ("nowhere.zip", {}, "holds no object, neither"),
        ("text", {"text/a.txt": b"x", "text/b.csv": b"y"}, "holds 2 objects and no images"),
        ("a-{0..3}.tar", {"a-1.tar": b"x"}, r"stands for 4 files, and 3 of them are not there, such as s3://.*/a-0\.tar"),
        ("a.tar", {"a.tar": b"text " * 300}, r"s3://.*/a\.tar is no tar: fetch or make it again"),
        ("a.zip", {"a.zip": b"PK, but not really"}, r"s3://.*/a\.zip cannot be opened as a \.zip"),
        ("b.tar", {"b.tar": b"\x1f\x8b" + b"x" * 600}, "is compressed with gzip"),
        ("photo.png", {"photo.png": b"x"}, "holds no object"),
    ],
)  # fmt: skip
def test_what_is_no_data_is_one_line(opened: Opener, s3: Bucket, key: str, files: dict[str, bytes], says: str) -> None:
    put(s3, files, "")
    for ask in (opened, lambda data: look_at(data, count_faces=1, cache=opened.cache)):
        with pytest.raises(DatasetError, match=says) as caught:
            ask(s3.address(key))
        assert "\n" not in str(caught.value)


def test_what_wgan_made_is_passed_over(tmp_path: Path, opened: Opener, s3: Bucket) -> None:
    sample(tmp_path / "made" / "samples")
    sample(tmp_path / "made" / "page.png")
    files = [path for path in (tmp_path / "made").rglob("*") if path.is_file()]
    made = {str(path.relative_to(tmp_path / "made")): path.read_bytes() for path in files}
    data = put(s3, CLASSES | made | run_folder())
    images = opened(data)
    assert (len(images), images.classes) == (9, ("ant", "bee", "cat"))
    assert images.skipped is not None
    assert "2 folders (runs/one, samples)" in images.skipped
    again = opened(data)
    assert (again.skipped, again.digest) == (images.skipped, images.digest)


@pytest.mark.parametrize("kind", ["prefix", "zip", "tars"])
def test_a_look_fetches_what_it_looks_at_and_once(
    tmp_path: Path, opened: Opener, s3: Bucket, faulty: Proxy, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr("wgan.training.recipes.look.LOOKED_AT", 4)
    data, proxy = packed(s3, tmp_path, kind), faulty()
    found = look_at(data, count_faces=1, cache=opened.cache)
    assert found == Look(9, 16, classes=3, smallest=3)
    if kind == "prefix":
        assert len(gets(proxy)) == 4 + 3  # of each class one, which might be a picture that wgan made
    before = len(gets(proxy))
    assert look_at(data, count_faces=1, cache=opened.cache) == found
    assert len(gets(proxy)) == before
    seen = listings(proxy)
    assert len(opened(data)) == 9
    assert listings(proxy) == seen
    if kind == "prefix":
        assert len(gets(proxy)) == 9  # none a second time


def test_of_large_tars_the_beginnings_are_looked_at(
    tmp_path: Path, opened: Opener, s3: Bucket, faulty: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "HEAD", 2**15)
    for shard in range(9):
        files = {}
        for i in range(100):
            files |= {f"{shard}-{i:03}.png": png(i), f"{shard}-{i:03}.cls": str(i % 2).encode()}
        s3.put(f"x-{shard}.tar", tarred(tmp_path / "a.tar", files).read_bytes())
    proxy = faulty()
    look = look_at(s3.address("x-{0..8}.tar"), count_faces=1, cache=opened.cache)
    assert gets(proxy) == [f"/{s3.name}/x-{shard}.tar" for shard in (0, 2, 5, 8)]
    assert 850 < look.images < 960
    assert (look.classes, look.side) == (2, 16)
    assert 420 < look.smallest < 480


def test_processes_of_one_machine_fetch_once(opened: Opener, s3: Bucket, faulty: Proxy) -> None:
    data, proxy = put(s3, PLAIN), faulty()
    code = (
        "import sys\nfrom pathlib import Path\nfrom wgan.training.data import open_images\n"
        "from wgan.training.data.decode import Shape\n"
        "print(len(open_images(sys.argv[1], Shape(8, 3, 'crop'), cache_dir=Path(sys.argv[2]))))\n"
    )
    words = [sys.executable, "-c", code, data, str(opened.cache)]
    both = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate(timeout=60)[0] for process in both] == ["20\n", "20\n"]
    assert len(gets(proxy)) == 20


def test_an_address_is_a_setting_and_survives_its_file(tmp_path: Path) -> None:
    for address in ("s3://bucket/a/photos", f"gs://bucket/{SHARDS}", "az://container/a.zip", "file:///a/b"):
        config = from_dict({"data": address})
        (tmp_path / "config.yaml").write_text(config.to_yaml())
        assert load(str(tmp_path / "config.yaml")).data == address


@pytest.mark.parametrize("address", ["s3://AKIA:SECRETWORD@bucket/a", "s3://bucket/a?token=SECRETWORD"])
def test_a_secret_in_an_address_is_refused_and_not_repeated(address: str) -> None:
    with pytest.raises(WganError) as caught:
        from_dict({"data": address})
    assert "SECRETWORD" not in str(caught.value)


def test_nothing_in_the_cache_names_credentials_or_the_bucket(opened: Opener, s3: Bucket) -> None:
    opened(put(s3, PLAIN | {"x.png": b""}))
    for path in opened.cache.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        for word in (*SECRETS.values(), s3.name):
            assert word.encode() not in content


def test_a_file_address_is_its_path(tmp_path: Path, opened: Opener) -> None:
    write(tmp_path / "mine", PLAIN)
    assert len(opened(f"file://{tmp_path}/mine")) == 20
