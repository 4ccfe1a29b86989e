"""A file is whole or not there."""

import os
from pathlib import Path

import pytest

from tests.full_disk import disk_full_after
from wgan.serve.errors import OutputError
from wgan.serve.files import atomic_path, atomic_write


def test_the_file_appears_whole_when_the_block_ends(tmp_path):
    path = tmp_path / "a" / "b" / "file.bin"
    with atomic_path(path) as tmp:
        assert tmp.parent == path.parent
        assert tmp.name == f".file.bin.{os.getpid()}.tmp"
        tmp.write_bytes(b"new")
        assert not path.exists()
    assert path.read_bytes() == b"new"
    assert list(path.parent.iterdir()) == [path]


def test_bytes_and_functions_are_written(tmp_path):
    atomic_write(tmp_path / "x", b"one")
    atomic_write(tmp_path / "y", lambda file: file.write(b"two"))
    assert (tmp_path / "x").read_bytes() + (tmp_path / "y").read_bytes() == b"onetwo"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_interrupted_write_leaves_the_old_file(tmp_path, error):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fail(file):
        file.write(b"half")
        raise error

    with pytest.raises(error):
        atomic_write(path, fail)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path):
    path = tmp_path / "file"
    with (
        pytest.raises(OutputError, match=r"cannot write .*file.*free some space") as caught,
        disk_full_after(1000),
    ):
        atomic_write(path, bytes(2000))
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_not_replaced_by_a_file(tmp_path):
    with pytest.raises(OutputError, match="Is a directory"):
        atomic_write(tmp_path, b"")


def test_a_parent_that_is_a_file_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write"):
        atomic_write(tmp_path / "file" / "below", b"")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that no one may write")
def test_a_folder_without_permission_is_one_line():
    with pytest.raises(OutputError, match=r"cannot write /proc/.*choose another place"):
        atomic_write(Path("/proc/wgan.npy"), b"")


def test_the_mode_is_that_of_any_new_file(tmp_path):
    (tmp_path / "plain").touch()
    atomic_write(tmp_path / "file", b"")
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "plain").stat().st_mode
