"""ONNX Runtime Web's files: from the cache, from npm or from a file; never others than those that are known."""

import hashlib
import io
import json
import sys
import tarfile
from pathlib import Path

import pytest

from wgan.export.formats.web import ort_web
from wgan.serve.base.errors import ConfigError, ExportError

CONTENT = {"ort.wasm.min.mjs": b"export default 1;", "ort.jspi.min.mjs": b"export default 2;"}


def packed(path: Path, files: dict[str, bytes], version: str = ort_web.VERSION) -> Path:
    """An archive as npm packs it."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in {"package/package.json": json.dumps({"version": version}).encode(), **files}.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


@pytest.fixture(autouse=True)
def apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, no npm, and two small files in place of the real ones. Gives the cache's folder."""
    known = {name: (len(content), hashlib.sha256(content).hexdigest()) for name, content in CONTENT.items()}
    monkeypatch.setattr(ort_web, "FILES", known)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(ort_web, "find_spec", lambda _: None)
    (tmp_path / "bin").mkdir()
    return tmp_path / "cache" / "wgan" / f"onnxruntime-web-{ort_web.VERSION}"


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    return packed(tmp_path / "ort.tgz", {f"package/dist/{name}": content for name, content in CONTENT.items()})


def npm(folder: Path, script: str) -> None:
    program = folder / "bin" / "npm"
    program.write_text(f"#!{sys.executable}\nimport sys, shutil\n{script}\n")
    program.chmod(0o755)


def test_the_named_file_is_taken_and_kept_in_the_cache(whole: Path, apart: Path) -> None:
    assert ort_web.ort_web(whole) == CONTENT
    assert {path.name: path.read_bytes() for path in apart.iterdir()} == CONTENT
    whole.unlink()
    assert ort_web.ort_web() == CONTENT  # without npm, without a network


def test_npm_fetches_them_once(whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    npm(tmp_path, f"assert 'onnxruntime-web@{ort_web.VERSION}' in sys.argv; shutil.copy({str(whole)!r}, 'a.tgz')")
    assert ort_web.ort_web() == CONTENT
    assert "fetching onnxruntime-web" in capsys.readouterr().err
    npm(tmp_path, "sys.exit('npm must not be asked again')")
    assert ort_web.ort_web() == CONTENT
    assert capsys.readouterr().err == ""


def test_a_damaged_cache_is_not_believed(whole: Path, tmp_path: Path, apart: Path) -> None:
    ort_web.ort_web(whole)
    (apart / "ort.wasm.min.mjs").write_bytes(b"export default 3;")
    with pytest.raises(ExportError, match="there is no npm here"):
        ort_web.ort_web()
    npm(tmp_path, f"shutil.copy({str(whole)!r}, 'a.tgz')")
    assert ort_web.ort_web() == CONTENT


def test_without_npm_it_is_said_how_the_file_is_had() -> None:
    with pytest.raises(ExportError) as caught:
        ort_web.ort_web()
    assert str(caught.value) == (
        "onnxruntime-web 1.30.0 has to be fetched, and there is no npm here: take the file that `npm pack "
        "onnxruntime-web@1.30.0` writes on any machine with npm and a network, and name it here: "
        "`wgan export --format web --web-runtime onnxruntime-web-1.30.0.tgz`"
    )


def test_without_a_network_npm_says_why_and_we_what_to_do(tmp_path: Path) -> None:
    npm(tmp_path, "sys.exit('npm error code ENOTFOUND\\nnpm error \\x1b[31mgetaddrinfo')")
    with pytest.raises(ExportError) as caught:
        ort_web.ort_web()
    assert "npm could not fetch onnxruntime-web 1.30.0 (npm error code ENOTFOUND npm error" in str(caught.value)
    assert "is there a network? If not, take the file that `npm pack" in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_what_npm_fetched_is_checked(tmp_path: Path, apart: Path) -> None:
    other = packed(tmp_path / "other.tgz", {"package/dist/ort.wasm.min.mjs": b"evil(1);;;;;;;;;;"})
    npm(tmp_path, f"shutil.copy({str(other)!r}, 'a.tgz')")
    with pytest.raises(ExportError, match=r"what npm fetched is not onnxruntime-web 1\.30\.0: .*another digest"):
        ort_web.ort_web()
    assert not apart.exists()


def test_a_changed_file_is_refused(tmp_path: Path, apart: Path) -> None:
    files = {f"package/dist/{name}": content for name, content in CONTENT.items()}
    files["package/dist/ort.jspi.min.mjs"] = b"export default 9;"  # of the same length
    with pytest.raises(ConfigError, match=r"is not onnxruntime-web 1\.30\.0 as published: ort\.jspi\.min\.mjs has"):
        ort_web.ort_web(packed(tmp_path / "changed.tgz", files))
    assert not apart.exists()


def test_another_version_is_named(tmp_path: Path) -> None:
    files = {"package/dist/ort.wasm.min.mjs": b"export default 0;"}
    with pytest.raises(ConfigError, match=r"holds onnxruntime-web 1\.22\.0, and 1\.30\.0 is needed: `npm pack"):
        ort_web.ort_web(packed(tmp_path / "old.tgz", files, "1.22.0"))


def test_other_files_are_no_archive(tmp_path: Path) -> None:
    for name, content in (("a.tgz", b""), ("b.tgz", b"\x1f\x8b\x08\0"), ("c.tgz", b"<html>")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ConfigError, match=rf"{name} is no archive as `npm pack"):
            ort_web.ort_web(tmp_path / name)
    with pytest.raises(ConfigError, match=r"no file .*none\.tgz: `npm pack"):
        ort_web.ort_web(tmp_path / "none.tgz")
    with pytest.raises(ConfigError, match="is no archive"):
        ort_web.ort_web(tmp_path)


def test_nothing_else_is_taken_out_of_an_archive(whole: Path, tmp_path: Path) -> None:
    files = {f"package/dist/{name}": content for name, content in CONTENT.items()}
    more = {"../../evil": b"x", "/etc/evil": b"x", "package/dist/../../evil": b"x", "package/dist/other.js": b"x"}
    before = {path for path in tmp_path.rglob("*") if path.name != "odd.tgz"}
    found = ort_web.ort_web(packed(tmp_path / "odd.tgz", {**more, **files}))
    assert found == CONTENT
    new = {path.name for path in tmp_path.rglob("*")} - {path.name for path in before}
    assert new == {"odd.tgz", "cache", "wgan", "onnxruntime-web-1.30.0", *CONTENT}


def test_a_bomb_is_not_unpacked(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ort_web, "MOST", 20)
    with pytest.raises(ConfigError, match="is no archive"):
        ort_web.ort_web(whole)


def test_a_cache_that_cannot_be_written_is_done_without(whole: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("in the way")
    assert ort_web.ort_web(whole) == CONTENT
