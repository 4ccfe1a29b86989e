"""Objects in storage by the same verbs as files: asked again through faults, whole or not there, errors of one line."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.fakes.object_store import SECRETS, Bucket
from wgan.serve import stores
from wgan.serve.base.address import Address
from wgan.serve.base.errors import BackendUnavailable, ConfigError, StoreError
from wgan.serve.base.paths import named_place
from wgan.serve.storage import asking, objects, transfer

LARGE = np.random.default_rng(0).bytes(11 * 2**20 + 5)  # three parts: S3 takes none below 5 MiB but the last
ODD = ["a b.bin", "100%.bin", "ä/図.bin", "a#b.bin", "%41.bin", "a+b&c=d.bin", "[x]{y}.bin", "'q'.bin"]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses of milliseconds, patience of half a second, and parts of a size that tests have."""
    monkeypatch.setattr(asking, "PAUSES", (0.001, 0.01))
    monkeypatch.setattr(asking, "PATIENCE", 0.5)
    monkeypatch.setattr(objects, "SINGLE", 2**20)
    monkeypatch.setattr(objects, "PART", 5 * 2**20)
    monkeypatch.setattr(transfer, "PART", 2**20)
    asking._store.cache_clear()
    yield
    asking._store.cache_clear()


def address(s3: Bucket, key: str) -> Address:
    place = named_place(s3.address(key), "--out")
    assert isinstance(place, Address)
    return place


@pytest.mark.parametrize("key", ODD)
def test_a_key_is_what_was_typed(s3: Bucket, quick: None, key: str):
    place = address(s3, key)
    assert stores.head(place) is None
    assert stores.write(place, b"12345")
    assert s3.keys() == [key]
    assert s3.get(key) == b"12345"
    found = stores.head(place)
    assert found is not None
    assert (found.place, found.size) == (place, 5)
    assert stores.read(place) == b"12345"
    assert [entry.place for entry in stores.entries(address(s3, ""))] == [place]
    stores.remove(place)
    stores.remove(place)  # what is not there is taken away already
    assert s3.keys() == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("s3://bucket/../x", "empty part"),
        ("s3://bucket/a//b", "empty part"),
        ("s3://bucket/./b", "empty part"),
        ("s3://USER:PASSWORD@bucket/b", "credentials"),
        ("s3://bucket/a?X-Amz-Signature=PASSWORD", "query"),
        ("s3://bucket:99/a", "port"),
        ("s3:///a", "names no bucket"),
        ("s3://bucket/a\x1b[2J", "do not print"),
        ("http://USER:PASSWORD@bucket/a", "not of"),
    ],
)
def test_what_is_no_address_is_refused_and_secrets_in_it_are_not_repeated(text: str, says: str):
    with pytest.raises(ConfigError, match=says) as refused:
        named_place(text, "--out")
    assert "PASSWORD" not in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("fault", ["before", "upload", "lost", "500", "503"])
def test_what_is_created_through_a_fault_is_created_once(s3: Bucket, quick: None, faulty, fault: str):
    proxy = faulty()
    place = address(s3, "shard.tar")
    proxy.next(*[fault] * 4, method="PUT")
    assert stores.write(place, b"content", create=True)  # also where it was stored, and the answer lost
    assert s3.get("shard.tar") == b"content"
    assert not stores.write(place, b"another", create=True)
    assert s3.get("shard.tar") == b"content"
    assert proxy.counts[fault] == 4


@pytest.mark.parametrize("fault", ["upload", "lost", "503"])
def test_a_large_object_goes_in_parts_and_is_seen_when_whole(s3: Bucket, quick: None, faulty, tmp_path: Path, fault):
    proxy = faulty()
    source = tmp_path / "large"
    source.write_bytes(LARGE)
    seen: list[list[str]] = []
    choose = proxy.choose

    def watched(method: str, path: str) -> str:
        if "partNumber" in path:
            seen.append(s3.keys())
        return choose(method, path)

    proxy.choose = watched  # type: ignore[method-assign]
    proxy.next("", fault, "", fault, "", fault)
    assert stores.write(address(s3, "large"), source, create=True)
    assert s3.get("large") == LARGE
    assert len(seen) >= 3
    assert not any(seen)
    assert not stores.write(address(s3, "large"), LARGE[:-1] + b"x", create=True)
    assert stores.write(address(s3, "large"), LARGE, create=True)  # the same bytes: done, by whomever
    assert s3.get("large") == LARGE


def test_an_upload_that_fails_leaves_no_object(s3: Bucket, quick: None, faulty):
    faulty(rate=1.0, kinds=("upload", "503"))
    with pytest.raises(StoreError, match=r"^cannot write s3://.*/large: .*asked again for 0.5 s"):
        stores.write(address(s3, "large"), LARGE)
    assert s3.keys() == []


@pytest.mark.parametrize("fault", ["before", "download", "lost", "500", "503"])
def test_reads_go_on_through_faults(s3: Bucket, quick: None, faulty, tmp_path: Path, fault: str):
    content = LARGE[: 3 * 2**20 + 5]
    s3.put("a", content)
    proxy = faulty()
    proxy.next(*[fault] * 3, method="GET")
    assert stores.read(address(s3, "a")) == content
    proxy.next("", fault, fault, "", fault, method="GET")
    seen: list[tuple[int, int]] = []
    stores.fetch(address(s3, "a"), tmp_path / "a", lambda done, total: seen.append((done, total)))
    assert (tmp_path / "a").read_bytes() == content
    assert seen[-1] == (len(content), len(content))
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_ranges_and_a_reader(s3: Bucket, quick: None):
    s3.put("a", LARGE)
    place = address(s3, "a")
    assert stores.read(place, 5, 7) == LARGE[5:12]
    assert stores.read(place, len(LARGE) - 3) == LARGE[-3:]
    assert stores.read(place, len(LARGE) - 3, 100) == LARGE[-3:]
    assert stores.read(place, len(LARGE) + 3, 10) == b""
    assert stores.read(place, 0, 0) == b""
    with stores.reader(place) as file:
        assert file.read(10) == LARGE[:10]
        assert file.seek(-4, os.SEEK_END) == len(LARGE) - 4
        assert file.read() == LARGE[-4:]
        file.seek(2**20 - 1)
        assert file.read(3) == LARGE[2**20 - 1 :][:3]
    s3.put("empty", b"")
    assert stores.read(address(s3, "empty")) == b""
    found = stores.head(place)
    s3.put("a", b"another")
    with pytest.raises(StoreError, match="was changed meanwhile"):
        stores.read(place, tag=found.tag)


def test_a_fetch_goes_on_where_it_was_killed_and_begins_anew_when_the_object_changed(s3: Bucket, quick: None, tmp_path):
    s3.put("a", LARGE)
    asked: list[int] = []

    class Stop(Exception):
        pass

    def until_two(done: int, total: int) -> None:
        asked.append(done)
        if len(asked) == 2:
            raise Stop

    with pytest.raises(Stop):
        stores.fetch(address(s3, "a"), tmp_path / "a", until_two)
    assert not (tmp_path / "a").exists()
    asked.clear()
    stores.fetch(address(s3, "a"), tmp_path / "a", lambda done, _: asked.append(done))
    assert asked[0] == 3 * 2**20  # two parts were there
    assert (tmp_path / "a").read_bytes() == LARGE
    s3.put("a", b"another")
    stores.fetch(address(s3, "a"), tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"another"


def test_listings_go_by_name_and_go_on_over_pages_and_faults(s3: Bucket, quick: None, faulty, monkeypatch):
    keys = ["p/a", "p/b c", "p/d/e", "p/d/f", "pp/no", "p/ü"]
    for key in keys:
        s3.put(key, key.encode())
    monkeypatch.setattr(objects, "_PAGE", 2)
    proxy = faulty(rate=0.2, seed=1)
    proxy.next("", "download", "503")
    found = list(stores.entries(address(s3, "p")))
    assert [entry.place.key for entry in found] == ["p/a", "p/b c", "p/d/e", "p/d/f", "p/ü"]
    assert [entry.size for entry in found] == [len(entry.place.key.encode()) for entry in found]
    assert [entry.place.name for entry in stores.entries(address(s3, "p"), deep=False)] == ["a", "b c", "ü"]
    assert list(stores.entries(address(s3, "nothing"))) == []


def test_the_seeded_plan_breaks_one_request_in_four_and_nothing_is_lost(s3: Bucket, quick: None, faulty, monkeypatch):
    monkeypatch.setattr(asking, "PATIENCE", 60.0)
    faulty(rate=0.25, seed=3, delay=0.001)
    contents = {f"shard-{number:02}": bytes([number]) * 100 for number in range(12)}
    for key, content in contents.items():
        assert stores.write(address(s3, key), content, create=True)
        assert stores.read(address(s3, key)) == content
    assert [s3.get(key) for key in sorted(contents)] == list(contents.values())


def line_of(error: pytest.ExceptionInfo[BaseException]) -> str:
    said = str(error.value)
    assert "\n" not in said
    assert len(said) < 300
    assert not any(secret in said for secret in SECRETS.values())
    return said


def test_each_refusal_is_a_line(s3: Bucket, quick: None, monkeypatch: pytest.MonkeyPatch):
    nowhere = Address("s3", "no-such-bucket", "key")
    for ask in (
        lambda: stores.write(nowhere, b"x"),
        lambda: list(stores.entries(nowhere)),
        lambda: stores.opened(nowhere),
    ):
        with pytest.raises(StoreError) as refused:
            ask()
        assert "there is no bucket no-such-bucket: make it, or name another one" in line_of(refused)
    with pytest.raises(StoreError) as refused:
        stores.read(address(s3, "absent"))
    assert line_of(refused) == f"there is no {s3.address('absent')}: look at its bucket and key"
    monkeypatch.setitem(sys.modules, "obstore", None)
    monkeypatch.setattr(asking, "find_spec", lambda name: None)
    with pytest.raises(BackendUnavailable) as missing:
        stores.head(address(s3, "key"))
    assert "s3:// needs obstore" in line_of(missing)
    assert "[cloud]" in str(missing.value)


def test_no_network_is_a_line_when_patience_ends(s3: Bucket, quick: None, faulty):
    proxy = faulty()
    proxy.down = True
    with pytest.raises(StoreError) as refused:
        stores.head(address(s3, "credentials"))
    assert line_of(refused) == f"cannot look at {s3.address('credentials')}: no connection (asked again for 0.5 s)"
    assert len(proxy.requests) > 3


def test_a_denied_request_is_a_line_and_not_asked_again(s3: Bucket, quick: None, faulty):
    proxy = faulty()
    proxy.next("403", method="PUT")
    with pytest.raises(StoreError) as refused:
        stores.write(address(s3, "key"), b"x")
    assert "access is denied: look at the credentials in the environment" in line_of(refused)
    assert [fault for method, _, fault in proxy.requests if method == "PUT"] == ["403"]


def test_without_credentials_the_line_says_so(s3: Bucket, quick: None, monkeypatch: pytest.MonkeyPatch):
    for name in SECRETS:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:9")  # where a cloud's machine has its own
    with pytest.raises(StoreError, match="the environment holds no credentials for s3://"):
        stores.write(address(s3, "key"), b"x")


def test_an_upload_is_put_on_commit_and_nothing_stays_behind(s3: Bucket, quick: None, monkeypatch, tmp_path: Path):
    monkeypatch.setattr(transfer, "gettempdir", lambda: str(tmp_path))
    first, second = stores.opened(address(s3, "a")), stores.opened(address(s3, "a"))
    for upload, content in ((first, b"one"), (second, b"two")):
        with upload.open() as file:
            file.write(content)
    assert s3.keys() == []
    first.commit()
    with pytest.raises(StoreError, match="another process wrote it meanwhile"):
        second.commit()
    assert s3.get("a") == b"one"
    third = stores.opened(address(s3, "a"))  # what was there is replaced
    third.open().close()
    third.commit()
    assert s3.get("a") == b""
    stores.opened(address(s3, "b")).discard()
    assert s3.keys() == ["a"]
    assert list(tmp_path.iterdir()) == []


def test_a_local_path_needs_no_package_for_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(asking, "find_spec", lambda name: pytest.fail("storage was asked"))
    place = named_place(f"file://{tmp_path}/a%20b", "--out")
    assert place == tmp_path / "a b"
    assert stores.write(place, b"12345", create=True)
    assert not stores.write(place, b"other", create=True)
    assert stores.write(place, b"12345", create=True)
    assert stores.read(place, 1, 2) == b"23"
    (entry,) = stores.entries(tmp_path)
    assert (entry.place, entry.size) == (place, 5)
    assert stores.head(tmp_path) is None
    stores.remove(place)
    assert stores.head(place) is None
