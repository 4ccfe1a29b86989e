"""A file is whole or not there, and what killed processes left is cleared away."""

import fcntl
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.fakes.full_disk import disk_full_after
from wgan.serve.base import temporary
from wgan.serve.base.errors import OutputError
from wgan.serve.base.files import Replacement, atomic_create, atomic_path, atomic_write, opened, writing


def test_the_file_appears_whole_when_the_block_ends(tmp_path):
    path = tmp_path / "a" / "b" / "file.bin"
    with atomic_path(path) as tmp:
        assert tmp.parent == path.parent
        assert tmp.name.startswith(".file.bin.")
        assert tmp.name.endswith(".tmp")
        tmp.write_bytes(b"new")
        assert not path.exists()
    assert path.read_bytes() == b"new"
    assert list(path.parent.iterdir()) == [path]


def test_bytes_and_functions_are_written(tmp_path):
    atomic_write(tmp_path / "x", b"one")
    atomic_write(tmp_path / "y", lambda file: file.write(b"two"))
    assert (tmp_path / "x").read_bytes() + (tmp_path / "y").read_bytes() == b"onetwo"


@pytest.mark.parametrize("links", [True, False])
def test_what_is_there_is_not_made_again(tmp_path, monkeypatch, links):
    def no_links(*paths):
        raise OSError("no hard links here")

    if not links:
        monkeypatch.setattr(os, "link", no_links)
    assert atomic_create(tmp_path / "file", b"one")
    assert not atomic_create(tmp_path / "file", b"two")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"one"


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
    with pytest.raises(OutputError, match="cannot write .*below: Not a directory; choose another place"):
        atomic_write(tmp_path / "file" / "below", b"")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that no one may write")
def test_a_folder_without_permission_is_one_line():
    with pytest.raises(OutputError, match=r"cannot write /proc/.*choose another place"):
        atomic_write(Path("/proc/wgan.npy"), b"")


def test_the_mode_is_that_of_any_new_file(tmp_path):
    (tmp_path / "plain").touch()
    atomic_write(tmp_path / "file", b"")
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path):
    real, link = tmp_path / "disk" / "real", tmp_path / "link"
    real.parent.mkdir()
    real.write_bytes(b"old")
    link.symlink_to("disk/real")
    (tmp_path / "again").symlink_to("link")
    with atomic_path(tmp_path / "again") as tmp:
        assert tmp.parent == real.parent  # on the disk that it is for
        tmp.write_bytes(b"new")
        assert real.read_bytes() == b"old"
    assert (link.is_symlink(), real.read_bytes()) == (True, b"new")
    assert [path.name for path in real.parent.iterdir()] == ["real"]


def test_a_link_to_what_is_not_there_makes_it(tmp_path):
    (tmp_path / "link").symlink_to("disk/new/file")
    (tmp_path / "folder").symlink_to("other/new")
    atomic_write(tmp_path / "link", b"one")
    atomic_write(tmp_path / "folder" / "file", b"two")
    assert (tmp_path / "disk/new/file").read_bytes() + (tmp_path / "other/new/file").read_bytes() == b"onetwo"
    (tmp_path / "first").symlink_to("disk/first")
    assert atomic_create(tmp_path / "first", b"one")
    assert not atomic_create(tmp_path / "first", b"two")
    assert (tmp_path / "disk/first").read_bytes() == b"one"
    assert all((tmp_path / name).is_symlink() for name in ("link", "folder", "first"))


def test_links_in_a_circle_are_one_line(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    for path in (tmp_path / "a", tmp_path / "a" / "file"):
        with pytest.raises(OutputError, match=r"cannot write .*; choose another place"):
            atomic_write(path, b"")


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o444])
def test_a_file_that_was_there_hands_its_mode_on(tmp_path, mode):
    path = tmp_path / "file"
    path.touch()
    path.chmod(mode)
    with atomic_path(path) as tmp:
        assert tmp.stat().st_mode & 0o077 & ~mode == 0  # nobody reads it meanwhile who could not before
        tmp.write_bytes(b"new")
    assert (path.stat().st_mode & 0o777, path.read_bytes()) == (mode, b"new")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_that_was_there_hands_its_owner_on(tmp_path):
    path = tmp_path / "file"
    path.touch()
    os.chown(path, 12345, 23456)
    atomic_write(path, b"new")
    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 23456)


def test_a_pipe_gets_the_bytes_and_stays(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")

    def write(path):
        with atomic_path(path) as tmp:
            tmp.write_bytes(b"two")

    with ThreadPoolExecutor() as pool:
        for work in (lambda: atomic_write(tmp_path / "link", b"two"), lambda: write(tmp_path / "pipe")):
            got = pool.submit((tmp_path / "pipe").read_bytes)
            work()
            assert got.result(60) == b"two"
    assert (tmp_path / "pipe").is_fifo()


def test_a_pipe_whose_reader_has_gone_is_one_line(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with ThreadPoolExecutor() as pool:
        gone = pool.submit(lambda: (tmp_path / "pipe").open("rb").close())
        place = opened(tmp_path / "pipe")
        gone.result(60)
    with pytest.raises(OutputError, match=r"cannot write .*pipe: who read it has gone$"), writing(place.path):
        place.open().write(bytes(10))
    place.discard()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's devices")
def test_devices_are_written_to_and_stay():
    atomic_write(Path("/dev/null"), b"new")
    assert Path("/dev/null").is_char_device()
    with pytest.raises(OutputError, match=r"cannot write /dev/full: No space left on device; free some space"):
        atomic_write(Path("/dev/full"), b"new")


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="needs Unix's descriptors by name")
def test_a_descriptor_is_written_to_where_it_stands(tmp_path):
    with (tmp_path / "file").open("ab") as file:
        file.write(b"one")
        file.flush()
        for name in (f"/dev/fd/{file.fileno()}", f"/proc/self/fd/{file.fileno()}"):
            atomic_write(Path(name), b"two")
        file.write(b"end")
    assert (tmp_path / "file").read_bytes() == b"onetwotwoend"
    with pytest.raises(OutputError, match="Bad file descriptor"):
        atomic_write(Path("/dev/fd/987654"), b"")


def test_a_terminal_is_refused():
    master, slave = os.openpty()
    try:
        for name in (os.ttyname(slave), f"/dev/fd/{slave}"):
            with pytest.raises(OutputError, match=r"it is a terminal: send what is written into a file"):
                atomic_write(Path(name), b"")
    finally:
        os.close(master)
        os.close(slave)


def test_a_descriptor_that_does_not_wait_gets_everything(tmp_path):
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    content = bytes(range(256)) * 4096  # more than a pipe holds
    with ThreadPoolExecutor() as pool, os.fdopen(reader, "rb") as file:
        got = pool.submit(file.read)
        atomic_write(Path(f"/dev/fd/{writer}"), content)
        os.close(writer)
        assert got.result(60) == content


def test_a_name_as_long_as_a_file_system_takes_it_is_taken(tmp_path):
    for letter in "aé":  # of one byte and of two
        path = tmp_path / (letter * (255 // len(letter.encode())))
        atomic_write(path, b"new")
        assert path.read_bytes() == b"new"


WRITER = """
import os, sys, time
from pathlib import Path
from wgan.serve.base.files import atomic_path
with atomic_path(Path(sys.argv[1])) as tmp:
    tmp.write_bytes(b"half")
    print(tmp, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def writer(tmp_path):
    """Another process in the middle of writing; killed in the end."""
    child = subprocess.Popen([sys.executable, "-c", WRITER, tmp_path / "big.npy"], stdout=subprocess.PIPE, text=True)
    child.tmp = Path(child.stdout.readline().strip())
    yield child
    child.kill()
    child.wait()
    child.stdout.close()


def test_what_a_killed_process_left_goes_with_the_next_write_and_what_a_living_one_writes_stays(tmp_path, writer):
    assert writer.tmp.read_bytes() == b"half"
    atomic_write(tmp_path / "x", b"one")
    temporary.sweep(tmp_path)
    assert writer.tmp.exists()  # its process lives

    writer.send_signal(signal.SIGKILL)
    writer.wait()
    assert writer.tmp.exists()
    code = "import sys; from pathlib import Path; from wgan.serve.base.files import atomic_write; \
atomic_write(Path(sys.argv[1]), b'two')"
    subprocess.run([sys.executable, "-c", code, tmp_path / "x"], check=True)
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x").read_bytes() == b"two"


def test_files_of_other_hosts_and_of_others_are_left_alone(tmp_path):
    ours = Replacement(tmp_path / "file")
    ours.discard()
    elsewhere = ours.tmp.name.replace(temporary._HOST, "elsewhere")
    names = [elsewhere, ".file.123.tmp", "file.tmp", ".hidden", ours.tmp.name.removeprefix(".")]
    for name in names:
        (tmp_path / name).touch()
    (tmp_path / "target").touch()
    link = ours.tmp.with_name(ours.tmp.name.replace("file", "link"))
    link.symlink_to(tmp_path / "target")
    os.mkfifo(ours.tmp.with_name(ours.tmp.name.replace("file", "pipe")))
    before = set(tmp_path.iterdir())
    temporary.sweep(tmp_path)
    assert set(tmp_path.iterdir()) == before
    ours.tmp.touch()  # the same name as a dead process's: nobody holds it
    temporary.sweep(tmp_path)
    assert set(tmp_path.iterdir()) == before


def test_two_writers_of_one_path_in_one_process_do_not_mix(tmp_path):
    first, second = Replacement(tmp_path / "file"), Replacement(tmp_path / "file")
    first.tmp.write_bytes(b"first")
    second.tmp.write_bytes(b"second")
    temporary.sweep(tmp_path)
    second.commit()
    first.commit()
    assert (tmp_path / "file").read_bytes() == b"first"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_file_that_a_sweeper_took_before_it_was_locked_is_made_again(tmp_path, monkeypatch):
    taken = []

    def sweep_first(descriptor, how):
        if not taken:
            (path,) = tmp_path.glob(".file.*")
            taken.append(path)
            path.unlink()
        real(descriptor, how)

    real = fcntl.flock
    monkeypatch.setattr(temporary.fcntl, "flock", sweep_first)
    atomic_write(tmp_path / "file", b"whole")
    assert (tmp_path / "file").read_bytes() == b"whole"
    assert len(taken) == 1


def test_a_file_system_without_locks_is_written_to_and_never_swept(tmp_path, monkeypatch):
    def refuse(descriptor, how):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(temporary.fcntl, "flock", refuse)
    held = Replacement(tmp_path / "held")
    temporary.sweep(tmp_path)
    assert held.tmp.exists()
    held.commit()
    assert [path.name for path in tmp_path.iterdir()] == ["held"]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux's list of open files")
def test_no_descriptor_is_left_open(tmp_path):
    atomic_write(tmp_path / "file", b"")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for number in range(5):
        atomic_write(tmp_path / "file", b"")
        Replacement(tmp_path / str(number)).discard()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
