"""A text reaches any stream, or is lost without harm: whatever its encoding lacks can still be read or pasted."""

import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from wgan.serve.base import terminal
from wgan.serve.base.command import command
from wgan.serve.base.written import Surviving, in_bytes, put, standard_streams, written_on

FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full here")
ENCODINGS = (
    "ascii",
    "latin-1",
    "cp1252",
    "cp437",
    "cp932",
    "cp037",
    "koi8-r",
    "utf-8",
    "utf-16",
    "iso2022_jp",
)
TEXT = "图.npy … – ±T → ähre 😀 a\udcff.npy \ufffd \ud800"


def stream_of(encoding: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding=encoding)


def written(encoding: str, text: str) -> str:
    """What a stream of this encoding has got, read again."""
    stream = stream_of(encoding)
    assert put(stream, text) is None
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode(encoding)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_any_encoding_takes_any_text(encoding: str) -> None:
    found = written(encoding, TEXT)
    assert ".npy" in found
    assert "a\\xff.npy" in found  # a byte of a name that is no text


def test_what_an_encoding_has_it_keeps_and_the_rest_is_recognised() -> None:
    assert written("cp1252", "图.npy … ±T ähre") == "\\u56fe.npy … ±T ähre"
    assert written("ascii", "图.npy … ±T ähre 😀") == "\\u56fe.npy ... +/-T \\xe4hre \\U0001f600"


def test_an_encoding_that_python_does_not_know_gets_ascii() -> None:
    class Odd(io.StringIO):
        encoding = "of-no-such-name"

    stream = Odd()
    assert put(stream, "图") is None
    assert stream.getvalue() == "\\u56fe"


@pytest.mark.parametrize("name", ["图 a.npy", "it's 图.npy", "a\\图'.npy", "\x1b[2J.npy", "a\udcff.npy", "\u202e.npy"])
@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_a_command_can_be_pasted_from_any_terminal(tmp_path: Path, name: str, encoding: str) -> None:
    stream = stream_of(encoding)
    put(stream, written_on(stream, terminal.plain(f"next: {command('sample', '--out', name)}\n")))
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    said = buffer.getvalue().removeprefix(b"next: wgan sample --out ").rstrip(b"\n").decode(encoding).encode()
    done = subprocess.run(["bash", "-c", b"printf %s " + said], capture_output=True, check=True)
    assert done.stdout == os.fsencode(name)


def test_words_are_quoted_only_where_they_must_be() -> None:
    assert command("sample", "--out", "my runs/图") == "wgan sample --out 'my runs/图'"
    assert in_bytes("图") == "$'\\345\\233\\276'"


@needs_full
def test_a_stream_that_is_full_gives_the_reason_back() -> None:
    with standard_streams(), FULL.open("w") as stream:
        failed = put(stream, "text\n")
        assert failed is not None
        assert failed.errno == errno.ENOSPC
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def test_a_stream_that_is_closed_or_left_by_its_reader_raises_nothing(tmp_path: Path) -> None:
    stream = (tmp_path / "log").open("w")
    stream.close()
    assert put(stream, "text") is not None
    assert put(None, "text") is not None
    assert written_on(stream, "text") == "text"
    reading, writing = os.pipe()
    os.close(reading)
    left = os.fdopen(writing, "w")
    failed = put(left, "text")
    assert failed is not None
    assert failed.errno == errno.EPIPE
    Surviving(left).write("text")
    Surviving(left).flush()
    Surviving(None).write("text")
    os.dup2(os.open(os.devnull, os.O_WRONLY), writing)
    left.close()


def test_rich_raises_nothing_where_the_terminal_has_gone() -> None:
    from wgan.serve.base.progress import counter

    class Gone(io.StringIO):
        def isatty(self) -> bool:
            return True

        def write(self, text: str) -> int:
            raise OSError(errno.EIO, "gone")

    with counter("reading", stream=Gone(), quiet=0) as progress:
        for done in range(5):
            progress(done, 5, "")


def test_a_closed_stderr_is_not_replaced_by_stdout(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", None)
    terminal.say("a line")
    terminal.fault("what is wrong")
    assert out.getvalue() == ""
    terminal.emit({"a": 1}, "", True)
    assert out.getvalue() == '{"a": 1}\n'


def test_an_object_that_cannot_be_written_is_an_error_and_a_text_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    terminal.emit({}, "text", False)
    with pytest.raises(terminal.Undelivered, match="the work is done, but its JSON could not be written"):
        terminal.emit({}, "text", True)


def test_no_file_that_is_opened_later_takes_the_place_of_a_closed_stream(tmp_path: Path) -> None:
    code = (
        "import os\nfrom wgan.serve.base.written import standard_streams\n"
        "with standard_streams():\n"
        "    file = open('mine', 'w')\n"
        "    os.system('echo 1; echo 2 >&2')\n"  # as a library of C would
        "    file.write(str(file.fileno()))\n"
    )
    place = f"import sys; sys.path[:0] = {sys.path!r}\n"
    done = subprocess.run(
        ["bash", "-c", 'exec "$0" -c "$1" <&- >&- 2>&-', sys.executable, place + code], cwd=tmp_path, check=False
    )
    assert done.returncode == 0
    assert int((tmp_path / "mine").read_text()) > 2


def test_what_others_print_survives_and_the_streams_are_as_before() -> None:
    before = sys.stdout
    stream = stream_of("ascii")
    sys.stdout = stream
    try:
        with standard_streams():
            print("图", flush=True)
        assert stream.errors == "strict"
    finally:
        sys.stdout = before
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    assert buffer.getvalue() == b"\\u56fe\n"
