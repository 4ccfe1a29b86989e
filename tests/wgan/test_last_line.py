"""The last line does not lose the work: whatever stdout and stderr are, they decide no exit code of what is done."""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest

from tests import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here"),
]

BOTH_CLOSED = ">&- 2>&-"
LONG = ("doctor", "train", "export", "verify", "eval", "bench", "report")  # they load torch: once is enough
SAMPLE = "sample -n 1 --model faces --out"
TINY = ["image_size=16", "base_channels=2", "latent_dim=4", "steps=2", "batch_size=4", "n_critic=1", "faces_count=64",
        "validate_images=16"]  # fmt: skip
# each command of the program, and the code that it ends with
EVERY: list[tuple[int, list[str]]] = [
    *((0, words) for words in (["--version"], ["--help"], ["help"], ["help", "sample"], ["eval", "--help"])),
    *((0, words) for words in (["settings"], ["settings", "lr_g"], ["doctor"])),
    (0, ["train", "--run", "runs/图", "--device", "cpu", *TINY]),
    (0, ["export", "--format", "onnx", "--max-batch", "4"]),
    (0, ["verify"]),
    (0, ["sample", "-n", "2", "--model", "faces", "--out", "图.npy"]),
    (0, ["sample", "-n", "2", "--model", "faces", "--out", "a\udcff\x1b\u202e😀"]),
    (0, ["eval", "-n", "2", "--inception-weights", "none"]),
    (0, ["bench", "--batch-size", "1", "--seconds", "0.05", "--repeats", "0"]),
    (0, ["report"]),
    (2, ["-v", "sample", "--model", "图.onnx", "-n", "1"]),
    (2, ["sample", "--图"]),
]
ALL = """
import json, sys
from wgan.cli import main
codes = []
for words in json.loads(sys.argv[1]):
    try:
        codes.append(main(words))
    except SystemExit as ended:
        codes.append(ended.code)
json.dump(codes, open("codes.json", "w"))
"""


def shell(line: str, place: Path, **environment: str) -> "subprocess.CompletedProcess[bytes]":
    """Runs a line of bash, in which `wgan` is this program."""
    program = shlex.join([sys.executable, "-m", "wgan"])
    env = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "dumb", **environment}
    script = f'wgan() {{ {program} "$@"; }}\n{line}'
    return subprocess.run(["bash", "-c", script], cwd=place, env=env, capture_output=True, check=False, timeout=300)


def silent(done: "subprocess.CompletedProcess[bytes]") -> bool:
    """Whether nothing was said of what only a programmer understands."""
    said = done.stdout + done.stderr
    return not any(word in said for word in (b"Traceback", b"Exception ignored", b"Error:", b"Errno"))


@pytest.mark.parametrize(
    "where",
    [">/dev/full", ">&-", "2>/dev/full", "2>&-", ">/dev/full 2>/dev/full", ">&- 2>&-", "<&- >&- 2>&-", "2>&1 | true"],
)
def test_the_images_are_there_and_the_code_is_0(tmp_path: Path, where: str) -> None:
    done = shell(f"wgan {SAMPLE} a.npy {where}; code=(${{PIPESTATUS[@]}}); exit ${{code[0]}}", tmp_path)
    assert done.returncode == 0, done.stderr
    assert silent(done), done.stderr
    assert np.load(tmp_path / "a.npy").shape == (1, 64, 64, 3)


@pytest.mark.parametrize(("where", "lines"), [(">/dev/full", 1), (">&-", 1), (">/dev/full 2>&-", 0), (">&- 2>&-", 0)])
def test_json_that_cannot_be_delivered_is_one_line_and_code_2(tmp_path: Path, where: str, lines: int) -> None:
    done = shell(f"wgan {SAMPLE} a.npy --json {where}", tmp_path)
    assert (done.returncode, done.stdout) == (2, b"")
    assert len(done.stderr.splitlines()) == lines
    assert all(line.startswith(b"wgan: the work is done, but its JSON") for line in done.stderr.splitlines())
    assert (tmp_path / "a.npy").is_file()


def test_a_full_stdout_is_said_where_there_is_a_stderr(tmp_path: Path) -> None:
    done = shell("wgan --version >/dev/full", tmp_path)
    assert done.returncode == 0
    assert done.stderr.decode().startswith("wgan: what is said on stdout could not be written there: No space left")


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "latin-1", "utf-16"])
def test_an_encoding_that_lacks_the_name_of_the_file_loses_nothing(tmp_path: Path, encoding: str) -> None:
    env = {"PYTHONIOENCODING": encoding, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = shell(f"wgan {SAMPLE} 图.npy && wgan {SAMPLE} b.npy --json >found.json", tmp_path, **env)
    assert done.returncode == 0, done.stderr
    assert silent(done), done.stderr
    assert json.loads((tmp_path / "found.json").read_bytes().decode(encoding))["out"] == "b.npy"
    shown = done.stdout.decode(encoding)
    assert shown.rstrip().endswith("\\xe5\\x9b\\xbe.npy")  # what LC_ALL=C makes of the name: bytes
    assert len(list(tmp_path.glob("*.npy"))) == 2


@pytest.mark.parametrize(
    ("encoding", "name"), [("cp1252", "\\u56fe.npy"), ("ascii", "\\u56fe.npy"), ("utf-16", "图.npy")]
)
def test_a_name_that_its_encoding_lacks_is_recognised(tmp_path: Path, encoding: str, name: str) -> None:
    done = shell(f"wgan {SAMPLE} 图.npy", tmp_path, PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode(encoding).rstrip().endswith(f"images/s: {name}")


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "latin-1", "utf-16"])
def test_help_is_readable_in_any_encoding(tmp_path: Path, encoding: str) -> None:
    done = shell("wgan sample --help; wgan help eval", tmp_path, PYTHONIOENCODING=encoding, LC_ALL="C", PYTHONUTF8="0")
    shown = done.stdout.decode(encoding)
    assert (done.returncode, done.stderr) == (0, b"")
    assert "--shard-size" in shown
    assert "Usage: wgan eval" in shown


def test_the_shell_completes_names_that_its_encoding_lacks(tmp_path: Path) -> None:
    (tmp_path / "runs" / "图").mkdir(parents=True)
    (tmp_path / "runs" / "图" / "run.json").write_text("{}")
    env = {"_WGAN_COMPLETE": "complete_bash", "COMP_WORDS": "wgan sample --run r", "COMP_CWORD": "3"}
    done = shell("wgan", tmp_path, **env, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, b"")
    done = shell("wgan >/dev/full 2>/dev/full", tmp_path, **env)
    assert done.returncode == 0


@pytest.mark.parametrize("where", [">/dev/full 2>/dev/full", BOTH_CLOSED])
def test_every_command_ends_with_the_code_of_its_work(tmp_path: Path, where: str) -> None:
    every = [(code, words) for code, words in EVERY if where == BOTH_CLOSED or words[0] not in LONG]
    words = json.dumps([words for _, words in every])
    line = f"exec {shlex.join([sys.executable, '-c', ALL, words])} {where}"
    assert shell(line, tmp_path).returncode == 0
    codes = json.loads((tmp_path / "codes.json").read_text())
    assert [(code, words) for code, (_, words) in zip(codes, every, strict=True)] == every
    assert {path.name for path in tmp_path.glob("*.npy")} == {"图.npy"}


@pytest.mark.parametrize("where", [">/dev/full 2>/dev/full", ">&- 2>&-"])
def test_a_server_serves_whatever_becomes_of_its_lines(tmp_path: Path, where: str) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    line = shlex.join([sys.executable, "-m", "wgan", "serve", "--model", "faces", "--port", str(port), "--access-log"])
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(["bash", "-c", f"exec {line} {where}"], cwd=tmp_path, env=env) as server:
        try:
            for number in range(2):
                assert answered(f"http://127.0.0.1:{port}/v1/images/{number}.png").startswith(b"\x89PNG")
            server.send_signal(signal.SIGTERM)
            assert server.wait(60) == 0
        finally:
            server.kill()


def answered(url: str) -> bytes:
    """What a server answers that may still be starting."""
    for _ in range(600):
        try:
            with urlopen(url, timeout=60) as reply:
                return bytes(reply.read())
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"no answer from {url}")
