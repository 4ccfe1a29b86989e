"""The check: stages one after another, each a process of its own with a limit.

Stdout is a JSON line a row as soon as it is known, then a table. The folder
keeps the rows as `results.jsonl`, what stages printed as `log.txt`, and the
files that the stage quality makes. See docs/gpu-check.md.

Exit codes: 0 all held; 1 something did not, or was cut off; 2 it cannot be run
as asked; 130 and 143 ended by Ctrl-C and SIGTERM.
"""

import argparse
import importlib.util
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from gpu.rows import BAD, CUT_OFF, FAILED, NO_TIME, RESULTS, WHOLE, Request, Row, plain, row_of
from gpu.table import table

ROOT = Path(__file__).parents[2]
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GRACE = 2.0  # seconds in which a stage that is told to end may clean up


@dataclass(frozen=True)
class Stage:
    """Its limit, the least time that it is worth beginning with, both in seconds, and what it proves."""

    limit: float
    least: float
    proves: str


STAGES = {
    "device": Stage(40, 10, "versions; the peaks that all else is held against"),
    "sync": Stage(60, 10, "no step waits for the GPU"),
    "parity": Stage(170, 45, "recorded and compiled steps train as plain ones"),
    "speed": Stage(140, 45, "ms an iteration beside a plain loop"),
    "onnx": Stage(120, 15, "exported files equal PyTorch on the device, images/s"),
    "ddp": Stage(130, 20, "two processes train as one"),
    "quality": Stage(300, 150, "`wgan train` to its end; the generator and a picture"),
    "trt": Stage(150, 15, "TensorRT and TensorRT-RTX: engines equal PyTorch"),
    "engines": Stage(120, 15, "engines that may run elsewhere, and --rebuild"),
    "overlap": Stage(90, 15, "pixels are made while the next batch is computed"),
    "tests": Stage(240, 30, "the tests marked gpu"),
}
LEAST_TINY = 5.0


class Running:
    """A stage at work in a process group of its own, whose rows are read as they come."""

    def __init__(self, request: Request, environment: dict[str, str], log: Any):
        command = [sys.executable, "-P", "-m", "gpu.stage", request.to_json()]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True, encoding="utf-8",
            env=environment, start_new_session=True,
        )  # fmt: skip
        self._lines = queue.SimpleQueue[str]()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self._process.stdout or ():
            self._lines.put(line)

    @property
    def ended(self) -> bool:
        """Whether it is over. It is not waited for yet, so that its number still is its group's."""
        return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def rows(self) -> Iterator[Row | None]:
        """Rows until it is over, and None whenever there has been none for a while."""
        while not self.ended:
            yield self._next(0.1)

    def rest(self) -> Iterator[Row]:
        """Rows that were printed before `stop`."""
        self._reader.join(GRACE)
        while not self._lines.empty():
            if (row := self._next(0.0)) is not None:
                yield row

    def _next(self, patience: float) -> Row | None:
        try:
            return row_of(self._lines.get(timeout=patience))
        except queue.Empty:
            return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> int:
        """Ends it and all that it started; its exit code, negative for a signal."""
        if self._process.returncode is None:
            if not self.ended:
                self._signal(signal.SIGTERM)
                until = time.monotonic() + GRACE
                while not self.ended and time.monotonic() < until:
                    time.sleep(0.05)
            self._signal(signal.SIGKILL)  # and what it has left behind
        return self._process.wait()

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


class Check:
    """One run of the check: keeps rows before it prints them."""

    def __init__(self, wanted: argparse.Namespace, environment: dict[str, str]):
        self._wanted, self._environment = wanted, environment
        self._end = time.monotonic() + wanted.seconds
        self.rows: list[Row] = []
        self.signal: int | None = None  # that told the check to end

    def keep(self, row: Row) -> None:
        """Into the results, then onto stdout."""
        self.rows.append(row)
        line = json.dumps(row)
        with (self._wanted.out / RESULTS).open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        say(line)

    def end(self, number: int, _: object) -> None:
        """A signal's handler: the stage that runs is the last."""
        self.signal = number

    def run(self) -> None:
        """All stages that were asked for, or those until `end`."""
        names = self._wanted.stages
        for i, name in enumerate(names):
            if self.signal is not None:
                return
            left, least = self._end - time.monotonic(), self._least(name)
            if left < least:
                self._note(name, NO_TIME, 0.0, f"{max(left, 0):.0f} s left, it needs {least:g}")
                continue
            later = sum(map(self._least, names[i + 1 :]))
            self._stage(name, min(STAGES[name].limit, max(least, left - later)))

    def _least(self, name: str) -> float:
        return LEAST_TINY if self._wanted.tiny else STAGES[name].least

    def _stage(self, name: str, most: float) -> None:
        print(f"gpu_check: {name}: {STAGES[name].proves}; {most:.0f} s at most", file=sys.stderr, flush=True)
        request = Request(name, self._wanted.device, self._wanted.tiny, str(self._wanted.out), most)
        path, began = self._wanted.out / "log.txt", time.monotonic()
        with path.open("a", encoding="utf-8") as log:
            print(f"== {name}", file=log, flush=True)
            said_from, code = log.tell(), None
            with Running(request, self._environment, log) as running:
                for row in running.rows():
                    if row is not None:
                        self.keep(row)
                    if self.signal is not None or time.monotonic() > began + most:
                        break
                finished = running.ended
                code = running.stop()
                for row in running.rest():
                    self.keep(row)
        spent = time.monotonic() - began
        if not finished:
            why = f"not done within its {most:.0f} s" if self.signal is None else "the check was told to end"
            self._note(name, CUT_OFF, spent, why)
        elif code != 0:
            ended = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
            self._note(name, FAILED, spent, f"{ended}: {last_line(path, said_from)}")

    def _note(self, name: str, status: str, seconds: float, why: str) -> None:
        self.keep(plain({"stage": name, "row": WHOLE, "status": status, "seconds": seconds, "why": why}))


def say(text: str) -> None:
    """Onto stdout; where nobody reads it any more the check goes on, as rows are kept."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def last_line(path: Path, start: int) -> str:
    """The last line that a stage left in the log, which it began at byte ``start``."""
    with path.open("rb") as file:
        file.seek(start)
        said = file.read().decode("utf-8", "replace").split("\n")
    return next((line.strip()[:300] for line in reversed(said) if line.strip()), "it said nothing")


def environment() -> dict[str, str]:
    """A stage's: `wgan`, `tests` and the scripts of this checkout, and nothing of the working directory."""
    own = [str(ROOT / "scripts"), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(own), "PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1"}


def refusal(wanted: argparse.Namespace) -> str | None:
    """Why it cannot be run as asked; None if it can."""
    if unknown := [name for name in wanted.stages if name not in STAGES]:
        return f"no stage named {', '.join(unknown)}: there are {', '.join(STAGES)}"
    if wanted.seconds <= 0:
        return f"--seconds {wanted.seconds:g} leaves no time: the usual is 560"
    if importlib.util.find_spec("torch") is None:
        return f"torch is not installed for {sys.executable}: name another Python with PYTHON=/path/to/python"
    if wanted.device == "cpu":
        return None if wanted.tiny else "--device cpu is for trying the check itself: add --tiny"
    import torch

    if not torch.cuda.is_available():
        return "no NVIDIA GPU here that torch can use: --device cpu --tiny tries the check itself on the CPU"
    return None


def arguments() -> argparse.Namespace:
    """The command line."""
    stages = "\n".join(f"  {name:8} {stage.limit:3.0f} s at most: {stage.proves}" for name, stage in STAGES.items())
    parser = argparse.ArgumentParser(
        "gpu_check.sh",
        description=__doc__,
        epilog=f"stages:\n{stages}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("stages", nargs="*", metavar="STAGE", default=list(STAGES), help="[default: all, in order]")
    parser.add_argument("--seconds", type=float, default=560.0, help="deadline of all stages together [560]")
    parser.add_argument("--out", type=Path, help="folder for rows and files [gpu-check/<time of the start>]")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="small and quick: tries the check itself, no figure counts")
    wanted = parser.parse_args()
    wanted.out = (wanted.out or Path("gpu-check") / time.strftime("%Y%m%d-%H%M%S")).resolve()
    return wanted


def main() -> int:
    """Runs what is asked for; the exit code."""
    wanted = arguments()
    if (why := refusal(wanted)) is not None:
        print(f"gpu_check: {why}", file=sys.stderr)
        return 2
    try:
        wanted.out.mkdir(parents=True, exist_ok=True)
        (wanted.out / RESULTS).touch()
    except OSError as error:
        print(f"gpu_check: --out {wanted.out} cannot be written: {error.strerror}", file=sys.stderr)
        return 2
    check = Check(wanted, environment())
    for each in SIGNALS:
        signal.signal(each, check.end)
    check.run()
    say(table(check.rows))
    say(f"kept in {wanted.out}")
    if check.signal is not None:
        return 128 + check.signal
    return int(any(row["status"] in BAD for row in check.rows))


if __name__ == "__main__":
    sys.exit(main())
