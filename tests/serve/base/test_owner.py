"""One process at a time in a folder, whatever becomes of it; and where that cannot be had, a line."""

import errno
import fcntl
import json
import os
import platform
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from wgan.serve.base import owner
from wgan.serve.base.errors import FolderInUse, OutputError
from wgan.serve.base.owner import FILE, FOREVER, own
from wgan.training.records import folder as runs

HOLDER = """
import sys, time
from pathlib import Path
from wgan.serve.base.owner import own
with own(Path(sys.argv[1]), print, shared=len(sys.argv) > 2):
    print("held", flush=True)
    sys.stdin.read()
"""
WHO = r"process {pid} on {host}, since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d UTC"


def never(line: str) -> None:
    raise AssertionError(line)


def start(*words: object) -> subprocess.Popen[str]:
    """A process that owns a folder until its input ends."""
    command = [sys.executable, "-c", HOLDER, *map(str, words)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    return child


def end(child: subprocess.Popen[str]) -> None:
    child.communicate()
    assert child.returncode in (0, -signal.SIGKILL)


def who(pid: int) -> str:
    return WHO.format(pid=pid, host=re.escape(platform.node()))


def test_a_second_process_is_refused_by_one_line_that_names_the_first_and_changes_nothing(tmp_path: Path) -> None:
    run = tmp_path / "run"
    child = start(run)
    before = (run / FILE).stat()
    with (
        pytest.raises(FolderInUse, match=f"run is in use by {who(child.pid)}: wait until that ends, or name") as caught,
        own(run, never),
    ):
        pass
    assert "\n" not in str(caught.value)
    assert [path.name for path in run.iterdir()] == [FILE]
    assert (run / FILE).stat().st_mtime_ns == before.st_mtime_ns
    end(child)
    with own(run, never):
        pass


def test_a_killed_owner_is_no_obstacle(tmp_path: Path) -> None:
    child = start(tmp_path)
    os.kill(child.pid, signal.SIGKILL)
    end(child)
    assert json.loads((tmp_path / FILE).read_text())["pid"] == child.pid  # what it left
    with own(tmp_path, never):
        assert json.loads((tmp_path / FILE).read_text())["pid"] == os.getpid()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_stays_empty_goes_again_with_those_above_it(tmp_path: Path) -> None:
    with own(tmp_path / "a" / "b", never):
        pass
    assert list(tmp_path.iterdir()) == []
    with own(tmp_path / "a" / "b", never):
        (tmp_path / "a" / "b" / "kept").touch()
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["kept"]
    (tmp_path / "mine").mkdir()
    with own(tmp_path / "mine", never):
        pass
    assert (tmp_path / "mine").is_dir()


def test_whoever_waits_says_so_once_and_goes_on_when_the_first_ends(tmp_path: Path) -> None:
    child = start(tmp_path)
    said: list[str] = []

    def told(line: str) -> None:
        said.append(line)
        assert child.stdin is not None
        child.stdin.close()

    with own(tmp_path, told, patience=FOREVER):
        assert child.wait() == 0
        assert json.loads((tmp_path / FILE).read_text())["pid"] == os.getpid()
    assert len(said) == 1
    assert re.fullmatch(rf"waiting for {tmp_path}, which is in use by {who(child.pid)}", said[0])
    assert child.stdout is not None
    child.stdout.close()


def test_patience_ends(tmp_path: Path) -> None:
    with own(tmp_path, never), pytest.raises(FolderInUse), own(tmp_path, lambda line: None, patience=0.2):
        pass
    assert list(tmp_path.iterdir()) == []


def test_readers_are_there_together_and_keep_writers_out(tmp_path: Path) -> None:
    first, second = start(tmp_path, "shared"), start(tmp_path, "shared")
    end(first)
    with pytest.raises(FolderInUse), own(tmp_path, never):
        pass
    with own(tmp_path, never, shared=True):
        end(second)
        with pytest.raises(FolderInUse), own(tmp_path, never):
            pass
    assert list(tmp_path.iterdir()) == []
    with own(tmp_path, never), pytest.raises(FolderInUse), own(tmp_path, never, shared=True):
        pass


def test_of_many_that_start_at_once_one_is_in_at_a_time(tmp_path: Path) -> None:
    inside, most, entered = 0, 0, 0
    gate = threading.Barrier(8)

    def go() -> None:
        nonlocal inside, most, entered
        gate.wait()
        for _ in range(20):
            with own(tmp_path / "run", lambda line: None, patience=FOREVER):
                inside += 1
                most, entered = max(most, inside), entered + 1
                time.sleep(0)
                inside -= 1

    threads = [threading.Thread(target=go) for _ in range(8)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, "_PAUSE", 0.001)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert (most, entered) == (1, 160)
    assert not list(tmp_path.rglob(FILE))


def test_two_runs_without_a_name_get_a_folder_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs.time, "strftime", lambda *_: "now")
    taken = iter(["now-faces", "now-faces", "now-faces-2"])  # the second start sees no folder yet either
    monkeypatch.setattr(runs, "new_path", lambda root, name: root / next(taken))
    with ExitStack() as held:
        first = runs.own_new(tmp_path, "faces", never, held)
        second = runs.own_new(tmp_path, "faces", never, held)
        assert (first.name, second.name) == ("now-faces", "now-faces-2")
        assert runs.begin(first).path == first  # the lock is no content
    assert list(tmp_path.iterdir()) == []


def refuse(descriptor: int, how: int) -> None:
    raise OSError(errno.EOPNOTSUPP, "Operation not supported")


def test_where_there_are_no_locks_one_line_says_so_and_who_came_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fcntl, "flock", refuse)
    said: list[str] = []
    line = f"{tmp_path} cannot be locked (Operation not supported): nothing keeps a second process out"
    with own(tmp_path, said.append):
        assert said == [line]
        with own(tmp_path, said.append):
            assert re.fullmatch(re.escape(line) + f"; it was taken by {who(os.getpid())}", said[1])
    assert list(tmp_path.iterdir()) == []
    with own(tmp_path, never, shared=True):  # a reader alone has nothing to fear
        pass


def test_a_system_without_locks_is_told_of_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owner, "fcntl", None)
    said: list[str] = []
    with own(tmp_path, said.append):
        pass
    assert said == [f"{tmp_path} cannot be locked (this system has none): nothing keeps a second process out"]


def test_what_another_host_left_is_told_of_as_its_lock_may_not_be_seen_here(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(json.dumps({"host": "node7", "pid": 4, "since": "2026-01-01 00:00:00 UTC"}))
    said: list[str] = []
    with own(tmp_path, said.append):
        pass
    assert len(said) == 1
    assert said[0].startswith(
        f"{tmp_path} was taken by process 4 on node7, since 2026-01-01 00:00:00 UTC, which let go"
    )


@pytest.mark.parametrize("text", [b"", b"[" * 5000, b"{}", b"\xff", b'{"host": 1e999, "pid": 1e999}', b"9" * 5000])
def test_a_lock_file_of_anything_is_no_obstacle(tmp_path: Path, text: bytes) -> None:
    (tmp_path / FILE).write_bytes(text)
    with own(tmp_path, never):
        (tmp_path / "x").touch()
        with pytest.raises(FolderInUse, match=f"in use by process {os.getpid()} "), own(tmp_path, never):
            pass


def test_a_link_in_the_locks_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "dear").write_text("dear")
    (tmp_path / FILE).symlink_to(tmp_path / "dear")
    with pytest.raises(OutputError, match=r"cannot write .*\.owner\.lock"), own(tmp_path, never):
        pass
    assert (tmp_path / "dear").read_text() == "dear"


def test_a_folder_that_cannot_be_written_is_one_line_for_writers_and_nothing_for_readers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = os.open

    def read_only(path: object, flags: int, *rest: int) -> int:
        if flags & os.O_RDWR:
            raise OSError(errno.EROFS, "Read-only file system")
        return opened(path, flags, *rest)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", read_only)
        with pytest.raises(OutputError, match="Read-only file system; choose another place"), own(tmp_path, never):
            pass
        with own(tmp_path, never, shared=True):
            pass
        (tmp_path / FILE).touch()  # another user's: it can be locked all the same
        with own(tmp_path, never), pytest.raises(FolderInUse), own(tmp_path, never, shared=True):
            pass
    with own(tmp_path / "missing", never, shared=True):
        assert not (tmp_path / "missing").exists()
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="Not a directory"), own(tmp_path / "file", never):
        pass


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux's list of open files")
def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        with own(tmp_path, never), pytest.raises(FolderInUse), own(tmp_path, never):
            pass
    assert len(list(Path("/proc/self/fd").iterdir())) == before
