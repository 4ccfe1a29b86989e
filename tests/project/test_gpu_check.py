"""`scripts/gpu_check.sh`: every stage runs on a CPU, tiny, and no row that is known is ever lost."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from tests import ROOT

CHECK = ["env", f"PYTHON={sys.executable}", "bash", str(ROOT / "scripts" / "gpu_check.sh")]
CPU = ["--device", "cpu", "--tiny"]
Row = dict[str, Any]

pytestmark = pytest.mark.slow


def rows_of(text: str) -> list[Row]:
    """The JSON lines of a check's output, or of its results."""
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


# two at a time: much of it is imports, which keep one core busy
HALVES = (["device", "speed", "onnx", "quality", "trt"], ["sync", "parity", "ddp", "engines", "overlap", "tests"])


@dataclass
class Done:
    """A check that has run: its exit code, what it said, and the folder that it kept."""

    code: int
    said: str
    out: Path

    @property
    def rows(self) -> list[Row]:
        return rows_of(self.said)


@pytest.fixture(scope="module")
def halves(tmp_path_factory: pytest.TempPathFactory) -> list[Done]:
    """All stages, run as a user runs them."""
    folders = [tmp_path_factory.mktemp("check") for _ in HALVES]
    started = [
        subprocess.Popen(
            [*CHECK, *stages, *CPU, "--out", str(out)],
            cwd=out, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )
        for stages, out in zip(HALVES, folders, strict=True)
    ]  # fmt: skip
    said = [process.communicate()[0] for process in started]
    return [Done(p.returncode, text, out) for p, text, out in zip(started, said, folders, strict=True)]


def test_every_stage_runs_on_a_cpu(halves: list[Done]) -> None:
    for done, stages in zip(halves, HALVES, strict=True):
        assert done.code == 0, done.said + (done.out / "log.txt").read_text()
        assert list(dict.fromkeys(row["stage"] for row in done.rows)) == stages
    rows = {(row["stage"], row["row"]): row for done in halves for row in done.rows}
    assert {row["status"] for row in rows.values()} == {"ok", "measured", "not run"}
    # what needs a GPU says so; the rest is measured in earnest
    for key in (("sync", "fp32"), ("parity", "recorded and half"), ("onnx", "CUDA provider"), ("engines", "engines")):
        assert rows[key]["status"] == "not run"
        assert rows[key]["why"]
    compiled = rows["parity", "fp32 compiled"]
    assert compiled["compiled"] is True
    assert compiled["apart"] < compiled["bound"]
    assert rows["parity", "compiled ahead, ms an iteration"]["batch 64"] > 0
    baseline, ours = (rows["speed", f"{name}, batch 64"] for name in ("baseline", "ours bf16"))
    for row in (baseline, ours):  # a busy machine's times lie too far apart for a figure, and then that is said
        assert (row["ms_iteration"] is None) is (row["ms_iteration_reason"] is not None)
    if baseline["ms_iteration"] is not None:
        assert baseline["times_baseline"] == 1
    assert rows["onnx", "generator.fp16.uint8.onnx"]["max_abs"] < 5e-2
    assert rows["ddp", "eager"]["notes"] == []
    trained = rows["quality", "wgan train"]
    assert (trained["steps"], trained["status"]) == (trained["of"], "ok")
    assert rows["overlap", "generator.fp16.onnx, batch 8"]["overlapped"] > 0
    assert "needs an NVIDIA GPU" in rows["tests", "tests/training/data/test_stream.py"]["why"]


def test_what_is_printed_is_kept_and_told_in_80_columns(halves: list[Done]) -> None:
    for done in halves:
        assert rows_of((done.out / "results.jsonl").read_text()) == done.rows
        table = [line for line in done.said.splitlines() if not line.startswith(("{", "kept in "))]
        assert max(map(len, table)) <= 80
        for row in done.rows:
            head = f"{row['status']:8}  {row['stage']:7}  {row['row'][:40]}"
            assert any(line.startswith(head) for line in table), row
    kept = {path.name: path.stat().st_size for path in halves[0].out.iterdir()}
    assert {"results.jsonl", "log.txt", "generator.pt", "generator.fp16.onnx", "samples.png"} <= kept.keys()
    assert len(kept) <= 8
    assert max(kept.values()) < 16 * 2**20


def test_a_check_that_cannot_be_run_is_one_line(tmp_path: Path) -> None:
    def refused(*words: str) -> str:
        done = subprocess.run([*CHECK, *words], capture_output=True, text=True, check=False, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        (line,) = done.stderr.splitlines()
        return line

    every = "device, sync, parity, speed, onnx, ddp, quality, trt, engines, overlap, tests"
    assert refused("fast", "device", "foo") == f"gpu_check: no stage named fast, foo: there are {every}"
    assert sorted([*HALVES[0], *HALVES[1]]) == sorted(every.split(", "))
    assert "add --tiny" in refused("--device", "cpu")
    (tmp_path / "file").touch()
    assert "--out" in refused("--out", "file", *CPU)
    if not torch.cuda.is_available():
        assert "no NVIDIA GPU here that torch can use: --device cpu --tiny" in refused()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.fixture
def staged(tmp_path: Path) -> Callable[..., "subprocess.Popen[str]"]:
    """Starts a check of its own stages: by name the limit and the body of `run(here)`, None for the real one."""
    for part in ("wgan", "serve", "training", "export"):
        (tmp_path / part).symlink_to(ROOT / part)
    package = shutil.copytree(ROOT / "scripts" / "gpu", tmp_path / "scripts" / "gpu")

    def start(*words: str, **stages: tuple[float, str | None]) -> "subprocess.Popen[str]":
        for name, (_, body) in stages.items():
            if body is None:
                continue
            lines = ["import os, signal, subprocess, time", "def run(here):", *(f"    {x}" for x in body.split("; "))]
            (package / f"{name}.py").write_text("\n".join(lines))
        made = ", ".join(f"{name!r}: check.Stage({limit}, 1, 'a test')" for name, (limit, _) in stages.items())
        program = f"import sys; from gpu import check; check.STAGES = {{{made}}}; check.LEAST_TINY = 0.5; "
        command = [sys.executable, "-P", "-c", program + "sys.exit(check.main())", *CPU, "--out", "out", *words]
        paths = [str(tmp_path / "scripts"), os.environ.get("PYTHONPATH", "")]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
        return subprocess.Popen(
            command, cwd=tmp_path, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    return start


SLEEPER = "here.tell('child', pid=subprocess.Popen(['sleep', '300']).pid); time.sleep(300)"
FINE = "here.tell('all is well', ok=True)"


TEST_FILES = {
    "test_a.py": "import a_package_that_nobody_has",
    "test_b.py": "import pytest\n@pytest.mark.gpu\ndef test_it(): assert 1 == 2\ndef test_other(): assert False",
    "test_c.py": "raise RuntimeError('not for here')\npytest.mark.gpu",
    "test_d.py": "import pytest\n@pytest.mark.gpu\n@pytest.mark.parametrize('x', [1, 2])\ndef test_it(x): print(x)",
}


def test_a_test_file_that_does_not_import_stops_no_other(
    staged: Callable[..., "subprocess.Popen[str]"], tmp_path: Path
) -> None:
    (tmp_path / "tests").mkdir()
    for name, text in TEST_FILES.items():
        (tmp_path / "tests" / name).write_text(f"{text}  # pytest.mark.gpu\n")
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\nmarkers = ['gpu: needs a GPU']\n")
    said, _ = staged(tests=(60.0, None)).communicate(timeout=60)
    rows = {row["row"]: row for row in rows_of(said)}
    assert {name: row["status"] for name, row in rows.items()} == {
        "tests/test_a.py": "not run",
        "tests/test_b.py": "FAILED",
        "tests/test_c.py": "FAILED",
        "tests/test_d.py": "ok",
    }
    assert rows["tests/test_a.py"]["why"] == "a_package_that_nobody_has is not installed"
    assert rows["tests/test_b.py"]["failed"] == ["test_it: assert 1 == 2"]
    assert rows["tests/test_c.py"]["why"] == "RuntimeError: not for here"
    assert rows["tests/test_d.py"]["passed"] == 2


def gone(pid: int) -> bool:
    """Whether the process has ended; one that nobody has waited for has, too."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def told(rows: list[Row]) -> list[tuple[str, str, str]]:
    return [(row["stage"], row["row"], row["status"]) for row in rows]


def test_stages_that_crash_or_do_not_end_lose_no_row_and_stop_no_other(
    staged: Callable[..., "subprocess.Popen[str]"], tmp_path: Path
) -> None:
    done = staged(
        endless=(2.0, SLEEPER),
        stubborn=(2.0, f"signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEPER}"),
        raising=(60.0, f"{FINE}; print('not a row'); raise ValueError('no such thing')"),
        killed=(60.0, f"{FINE}; os.kill(os.getpid(), signal.SIGSEGV)"),
        leaving=(60.0, f"{FINE}; here.tell('child', pid=subprocess.Popen(['sleep', '300']).pid)"),
        lacking=(60.0, f"{FINE}; import a_package_that_nobody_has.part"),
        last=(60.0, "here.tell('odd', figure=float('nan')); here.not_run('this', 'it is not here')"),
    )
    said, progress = done.communicate(timeout=60)
    assert done.returncode == 1, progress
    rows = rows_of(said)
    assert told(rows) == [
        ("endless", "child", "measured"),
        ("endless", "whole stage", "cut off"),
        ("stubborn", "child", "measured"),
        ("stubborn", "whole stage", "cut off"),
        ("raising", "all is well", "ok"),
        ("raising", "whole stage", "FAILED"),
        ("killed", "all is well", "ok"),
        ("killed", "whole stage", "FAILED"),
        ("leaving", "all is well", "ok"),
        ("leaving", "child", "measured"),
        ("lacking", "all is well", "ok"),
        ("lacking", "whole stage", "not run"),
        ("last", "odd", "measured"),
        ("last", "this", "not run"),
    ]
    assert rows[1]["why"] == "not done within its 2 s"
    assert rows[5]["why"] == "ended with 1: ValueError: no such thing"
    assert rows[7]["why"].startswith("killed by SIGSEGV: ")
    assert rows[11]["why"] == "a_package_that_nobody_has is not installed"
    assert rows[12]["figure"] == "nan"
    assert all(gone(row["pid"]) for row in rows if "pid" in row)
    assert rows_of((tmp_path / "out" / "results.jsonl").read_text()) == rows
    assert "not a row" in (tmp_path / "out" / "log.txt").read_text()
    assert "2 cut off, 2 FAILED, " in said


def test_at_the_deadline_what_is_left_is_said_not_to_have_been_run(
    staged: Callable[..., "subprocess.Popen[str]"],
) -> None:
    # the first leaves the others the least that they need, and no stage has any to spare
    done = staged("--seconds", "3", long=(60.0, SLEEPER), other=(60.0, SLEEPER), never=(60.0, FINE))
    said, _ = done.communicate(timeout=60)
    assert done.returncode == 1
    rows = rows_of(said)
    assert told(rows)[:2] == [("long", "child", "measured"), ("long", "whole stage", "cut off")]
    assert rows[1]["why"] == "not done within its 2 s"
    assert told(rows)[-1] == ("never", "whole stage", "no time")
    assert rows[-1]["why"].endswith("s left, it needs 0.5")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_check_that_is_told_to_end_keeps_its_rows_and_leaves_no_process(
    staged: Callable[..., "subprocess.Popen[str]"], tmp_path: Path, number: signal.Signals, code: int
) -> None:
    started = staged(endless=(60.0, SLEEPER), last=(60.0, FINE))
    assert started.stdout is not None
    first = json.loads(started.stdout.readline())
    started.send_signal(number)
    said, _ = started.communicate(timeout=60)
    assert started.returncode == code
    rows = rows_of((tmp_path / "out" / "results.jsonl").read_text())
    assert told(rows) == [("endless", "child", "measured"), ("endless", "whole stage", "cut off")]
    assert rows == [first, *rows_of(said)]
    assert "cut off   endless" in said  # the table
    assert gone(first["pid"])
