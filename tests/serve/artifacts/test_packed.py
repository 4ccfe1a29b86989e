"""A folder that is one artifact: what is in it is checked, what is not ours is kept, and it is replaced whole."""

import dataclasses
import json
import os
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from wgan.serve.artifacts import artifact, packed
from wgan.serve.artifacts.find import find_artifact
from wgan.serve.artifacts.metadata import ImageSpec, Latent, Metadata
from wgan.serve.base.errors import ArtifactError, OutputError

FILES = {"index.html": b"<!doctype html>", "ort/a.wasm": b"\0asm" * 100, "generator.onnx": b"graph"}


def metadata_of(payload: bytes) -> Metadata:
    return Metadata("web", "fp32", Latent(8), ImageSpec(8, 8, 3), artifact.payload_digest("web", payload))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path, payload = tmp_path / "generator.web", packed.archive(FILES)
    artifact.write(path, payload, metadata_of(payload))
    return path


def test_a_folder_is_read_as_it_was_written(folder: Path) -> None:
    read = artifact.read(folder)
    assert packed.files_of(read.data) == FILES
    assert read.metadata.format == "web"
    assert read.data == packed.archive(dict(reversed(FILES.items())))  # whatever the order in which they are listed
    assert artifact.list_folder(folder.parent) == [folder]
    assert artifact.is_artifact(folder)
    assert not artifact.holds_artifacts(folder)
    assert artifact.holds_artifacts(folder.parent)
    size = sum(map(len, FILES.values())) + (folder / "wgan.json").stat().st_size
    assert artifact.summary(folder, read.metadata)["bytes"] == size
    assert find_artifact(folder, None, None) == (folder, "browser")


def change(folder: Path) -> None:
    (folder / "index.html").write_bytes(b"<!DOCTYPE html>")


def lose(folder: Path) -> None:
    (folder / "ort" / "a.wasm").unlink()


def gain(folder: Path) -> None:
    (folder / "more.js").write_text("alert(1)")


def rename(folder: Path) -> None:
    (folder / "ort").rename(folder / "art")


def truncate(folder: Path) -> None:
    (folder / "generator.onnx").write_bytes(FILES["generator.onnx"][:-1])


@pytest.mark.parametrize("damage", [change, lose, gain, rename, truncate], ids=lambda damage: damage.__name__)
def test_a_folder_that_is_not_as_it_was_exported_is_refused(folder: Path, damage: object) -> None:
    damage(folder)  # type: ignore[operator]
    with pytest.raises(ArtifactError, match=r"generator\.web is damaged: .*`wgan export --format web"):
        artifact.read(folder)


def test_a_folder_without_its_metadata_is_not_ours(folder: Path) -> None:
    (folder / "wgan.json").unlink()
    with pytest.raises(ArtifactError, match="carries no wgan metadata"):
        artifact.read(folder)


def test_a_folder_that_is_not_there_is_told_with_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"no file .*generator\.web: run `wgan export --format web"):
        artifact.read(tmp_path / "generator.web")


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "generator.web").write_bytes(b"no folder")
    with pytest.raises(ArtifactError, match=r"generator\.web cannot be read: Not a directory"):
        artifact.read(tmp_path / "generator.web")
    payload = packed.archive(FILES)
    with pytest.raises(OutputError, match="not wgan's to replace"):
        artifact.write(tmp_path / "generator.web", payload, metadata_of(payload))
    assert (tmp_path / "generator.web").read_bytes() == b"no folder"


def test_what_the_host_or_the_system_puts_there_counts_for_nothing(folder: Path) -> None:
    (folder / ".nojekyll").touch()
    (folder / "ort" / ".DS_Store").write_bytes(b"x")
    (folder / ".well-known").mkdir()
    (folder / ".well-known" / "security.txt").write_text("Contact:")
    assert packed.files_of(artifact.read(folder).data) == FILES


def test_links_stay_in_the_folder(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(FILES["index.html"])
    (folder / "index.html").unlink()
    (folder / "index.html").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ArtifactError, match=r"index\.html is a link that leaves the folder"):
        artifact.read(folder)
    (folder / "index.html").unlink()
    (folder / ".kept").write_bytes(FILES["index.html"])
    (folder / "index.html").symlink_to(".kept")
    assert packed.files_of(artifact.read(folder).data) == FILES


def test_links_to_folders_and_devices_are_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "loop").symlink_to(folder)
    with pytest.raises(ArtifactError, match="loop is a link to a folder"):
        artifact.read(folder)
    (folder / "loop").unlink()
    os.mkfifo(folder / "pipe")
    with pytest.raises(ArtifactError, match="pipe is no file"):
        artifact.read(folder)


def test_a_folder_of_too_much_is_refused_before_it_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "MOST_FILES", 2)
    with pytest.raises(ArtifactError, match="more than 2 files"):
        artifact.read(folder)
    monkeypatch.setattr(packed, "MOST_FILES", 20)
    with (folder / "huge").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(ArtifactError, match=r"or 1,073,741,824 bytes"):
        artifact.read(folder)


@pytest.mark.parametrize("name", ["/etc/a", "../a", "a/../../b", "a\\b", "C:a"])
def test_no_name_in_an_archive_leaves_the_folder(tmp_path: Path, name: str) -> None:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name), b"x")
    with pytest.raises(packed.NotPacked, match="leaves the folder"):
        packed.unpack(tmp_path / "generator.web", buffer.getvalue(), b"{}", ours=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("data", [b"", b"PK", packed.archive(FILES)[:-30]], ids=["empty", "short", "cut"])
def test_other_bytes_are_no_archive(data: bytes) -> None:
    with pytest.raises(packed.NotPacked, match="no archive of a folder"):
        packed.files_of(data)


def test_an_export_replaces_the_one_before_and_what_the_host_put_there_stays(folder: Path) -> None:
    (folder / ".nojekyll").write_text("kept")
    payload = packed.archive({"index.html": b"new"})
    artifact.write(folder, payload, metadata_of(payload))
    assert packed.files_of(artifact.read(folder).data) == {"index.html": b"new"}
    assert (folder / ".nojekyll").read_text() == "kept"
    assert [path.name for path in folder.parent.iterdir()] == ["generator.web"]


def test_what_a_user_changed_there_is_moved_aside(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    payload = packed.archive({"index.html": b"new"})
    for name in ("generator.web.old", "generator.web.old2"):
        (folder / "mine.html").write_text(name)
        artifact.write(folder, payload, metadata_of(payload))
        assert (folder.parent / name / "mine.html").read_text() == name
        assert f"what was there is now {folder.parent / name}" in capsys.readouterr().err.replace("\n", " ")
    assert packed.files_of(artifact.read(folder).data) == {"index.html": b"new"}
    assert artifact.list_folder(folder.parent) == [folder]


def test_a_folder_of_others_is_not_replaced(tmp_path: Path) -> None:
    path, payload = tmp_path / "generator.web", packed.archive(FILES)
    path.mkdir()
    (path / "thesis.tex").write_text("years of work")
    with pytest.raises(OutputError, match=r"holds no wgan\.json, so it is not wgan's to replace"):
        artifact.write(path, payload, metadata_of(payload))
    assert [entry.name for entry in tmp_path.rglob("*")] == ["generator.web", "thesis.tex"]


def test_a_write_that_fails_leaves_the_old_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    payload = packed.archive({"index.html": b"new"})
    monkeypatch.setattr(packed, "_swap", full)
    with pytest.raises(OutputError, match="free some space"):
        artifact.write(folder, payload, metadata_of(payload))
    assert packed.files_of(artifact.read(folder).data) == FILES
    assert [path.name for path in folder.parent.iterdir()] == ["generator.web"]


def test_folders_are_exchanged_where_the_system_cannot_do_it_in_one_step(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packed, "_exchanged", lambda *_: False)
    payload = packed.archive({"index.html": b"new"})
    artifact.write(folder, payload, metadata_of(payload))
    assert packed.files_of(artifact.read(folder).data) == {"index.html": b"new"}
    assert [path.name for path in folder.parent.iterdir()] == ["generator.web"]


def test_what_a_killed_process_left_is_removed_by_the_next_write(folder: Path) -> None:
    left = folder.parent / ".generator.web.1.unpacked"
    left.mkdir()
    (left / "half").write_bytes(b"half")
    payload = packed.archive(FILES)
    artifact.write(folder, payload, metadata_of(payload))
    assert [path.name for path in folder.parent.iterdir()] == ["generator.web"]


def test_a_link_to_the_folder_is_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    link = tmp_path / "site" / "generator.web"
    link.symlink_to(folder)
    payload = packed.archive({"index.html": b"new"})
    artifact.write(link, payload, metadata_of(payload))
    assert link.is_symlink()
    assert (folder / "index.html").read_bytes() == b"new"


def test_the_report_is_written_beside_the_files_that_it_is_about(folder: Path) -> None:
    read = artifact.read(folder)
    report = {"passed": True, "browser": "Chrome 150"}
    artifact.write_sidecar(folder, dataclasses.replace(read.metadata, parity=report))
    assert artifact.read(folder).metadata.parity == report
    assert json.loads((folder / "wgan.json").read_bytes())["payload_sha256"] == read.metadata.payload_sha256
