"""`wgan bench` on a machine that others keep busy: by processes that this test starts and ends. Never a time."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from wgan.cli import main
from wgan.serve.bench.quality import loaded

SPIN = """
import sys, threading
threading.Thread(target=lambda: (sys.stdin.read(), __import__("os")._exit(0)), daemon=True).start()
print("ready", flush=True)
while True: pass
"""


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """So many processes that never wait. They end with the block, and where this process dies: their stdin closes."""
    children = [
        subprocess.Popen([sys.executable, "-c", SPIN], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(processes)
    ]
    try:
        for child in children:
            assert child.stdout is not None
            child.stdout.readline()
        yield
    finally:
        for child in children:
            child.kill()
            child.communicate()


@pytest.mark.slow
def test_a_row_beside_other_work_is_repeated_and_marked_and_no_gate_rests_on_it_in_silence(
    here: Path, tiny_export: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["bench", "--model", str(tiny_export / "generator.onnx"), "--batch-size", "4", "--seconds", "0.6"]
    words += ["--device", "cpu", "--out", "a page.html", "--at-least", "1000000", "--repeats", "1"]
    with busy(os.cpu_count() or 1):
        assert main([*words, "--json"]) == 1
    out, err = capsys.readouterr()
    found = json.loads(out)
    (row,) = found["rows"]
    if row["load_others"] is None:
        pytest.skip("this system does not tell what others do")
    # one a core, and one thread at a time of this bench: others had at least half of the cores
    assert row["load_others"] + row["steal"] > row["load_limit"]
    assert loaded(row)
    assert (row["quality"], row["repeats"]) == ("loaded", 1)
    assert row["spread_between"] is not None
    assert found["conditions"]["doubtful"] == found["conditions"]["repeated"] == 1
    assert (found["passed"], found["undecided"]) == (False, [row["path"]])
    *_, why, remedy = err.splitlines()
    assert "not decided" in why
    assert "batch 4 (measured beside other work)" in why
    told, _, command = remedy.partition(": ")
    assert told == "measure again when the machine is quiet"
    assert sorted(shlex.split(command)) == sorted(["wgan", *words, "--json"])  # in the order of --help
    assert "<b>loaded</b>" in (here / "a page.html").read_text()
