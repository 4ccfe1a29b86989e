"""Artifacts at addresses: fetched once, anew when changed, with what they need, and called as they were typed."""

import os
import time
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.fakes.object_store import Bucket, Faulty
from wgan.serve.artifacts import artifact, remote
from wgan.serve.artifacts.find import built_in, typed
from wgan.serve.base.address import Address
from wgan.serve.base.errors import ArtifactError, StoreError
from wgan.serve.base.fetched import as_typed
from wgan.serve.http import watch


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "wgan" / "models"


def at(s3: Bucket, key: str) -> Address:
    return Address("s3", s3.name, key)


def put(s3: Bucket, folder: Path, prefix: str) -> None:
    for path in folder.rglob("*"):
        if path.is_file() and not path.name.startswith("."):
            s3.put(f"{prefix}/{path.relative_to(folder)}", path.read_bytes())


def asked(proxy: Faulty) -> list[str]:
    found = [f"{method} {unquote(path.partition('?')[0]).rpartition('/')[2]}" for method, path, _ in proxy.requests]
    proxy.requests.clear()
    return found


def test_an_artifact_is_fetched_once_and_anew_when_it_has_changed(s3: Bucket, faulty, cache: Path):
    s3.put("my models/faces.onnx", built_in().read_bytes())
    proxy, place = faulty(), at(s3, "my models/faces.onnx")
    first = remote.local(place)
    assert first.read_bytes() == built_in().read_bytes()
    assert typed(first) == str(place)
    assert as_typed(f"no {first.with_name('generator.pt')}") == f"no {s3.address('my models/generator.pt')}"
    assert asked(proxy) == ["HEAD faces.onnx", "HEAD faces.onnx", "GET faces.onnx"]
    assert remote.local(place) == first
    assert asked(proxy) == ["HEAD faces.onnx"]
    s3.put("my models/faces.onnx", b"another")
    assert remote.local(place).read_bytes() == b"another"
    assert first.read_bytes() == built_in().read_bytes()  # who has it open still does


def test_what_a_plan_and_weights_beside_an_onnx_file_need_comes_along(s3: Bucket, cache: Path, tiny_export, tmp_path):
    import onnx

    put(s3, tiny_export, "export")
    plan = remote.local(at(s3, "export/generator.plan"))
    assert sorted(path.name for path in plan.parent.iterdir()) == ["generator.plan", "generator.plan.json"]
    assert artifact.read(plan).metadata.format == "trt"
    s3.put("export/generator.plan.json", b"{}")
    assert remote.local(at(s3, "export/generator.plan")) != plan

    big = onnx.load(tiny_export / "generator.onnx")
    onnx.save(big, tmp_path / "big.onnx", save_as_external_data=True, location="big weights.data", size_threshold=0)
    put(s3, tmp_path, "big")
    found = remote.local(at(s3, "big/big.onnx"))
    assert found.with_name("big weights.data").read_bytes() == (tmp_path / "big weights.data").read_bytes()
    s3.put("big/big weights.data", b"another")
    assert remote.local(at(s3, "big/big.onnx")).with_name("big weights.data").read_bytes() == b"another"


def test_a_folder_comes_with_its_checkpoint_and_nothing_else(s3: Bucket, cache: Path, tiny_export: Path):
    put(s3, tiny_export, "run/export")
    s3.put("run/export/secrets.txt", b"not ours")
    folder = remote.local(at(s3, "run/export"))
    there = {path.name for path in tiny_export.iterdir() if not path.name.startswith(".")}
    assert {path.name for path in folder.iterdir()} == there
    alone = remote.local(at(s3, "run/export/generator.onnx"), reference=True)
    assert sorted(path.name for path in alone.parent.iterdir()) == ["generator.onnx", "generator.pt"]


def test_no_name_of_an_object_leads_out_of_the_cache(s3: Bucket, cache: Path):
    s3.put("page.web/index.html", b"page")
    page = remote.local(at(s3, "page.web"))
    assert (page / "index.html").read_bytes() == b"page"
    for name in ("..", "a/../../b", "a//b", "a\\b", "C:x", "", "a\nb"):
        assert not remote._is_below(name)
    assert remote._is_below("a b/c.onnx")


def test_what_is_not_there_is_a_line(s3: Bucket, cache: Path):
    with pytest.raises(ArtifactError, match=f"no file {s3.address('x.onnx')}: look at its bucket and key"):
        remote.local(at(s3, "x.onnx"))
    with pytest.raises(ArtifactError, match=f"nothing exported in {s3.address('x')}: look at"):
        remote.local(at(s3, "x"))
    with pytest.raises(ArtifactError, match=f"nothing in {s3.address('x.web')}: look at"):
        remote.local(at(s3, "x.web"))
    with pytest.raises(StoreError, match="there is no bucket no-such-bucket"):
        remote.local(Address("s3", "no-such-bucket", "x.onnx"))


def test_the_cache_is_bounded_and_what_is_in_use_stays(s3: Bucket, cache: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(remote, "KEEP", 2500)
    paths = []
    for number in range(3):
        s3.put(f"{number}.onnx", bytes([number]) * 1000)
        paths.append(remote.local(at(s3, f"{number}.onnx")))
    assert all(path.is_file() for path in paths)  # all were used just now
    for age, path in zip((1, 3, 2), paths, strict=True):
        os.utime(path.parent, (time.time() - age * 2 * remote.RECENT,) * 2)
    s3.put("3.onnx", b"3" * 1000)
    last = remote.local(at(s3, "3.onnx"))
    assert [path.is_file() for path in (*paths, last)] == [True, False, False, True]


def test_a_server_sees_another_object_and_no_fault(s3: Bucket, faulty, monkeypatch: pytest.MonkeyPatch):
    s3.put("generator.plan", b"one")
    place = at(s3, "generator.plan")
    first = watch._stored(place)
    s3.put("generator.plan.json", b"{}")
    assert watch._stored(place) != first
    s3.delete("generator.plan.json")
    assert watch._stored(place) == first
    monkeypatch.setattr("wgan.serve.storage.asking.PATIENCE", 0.0)
    faulty().down = True
    assert watch._stored(place) == (None,)
