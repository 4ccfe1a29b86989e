"""The terminal captures of docs/walk.md: `python scripts/docs_walk.py PHOTOS`, from a checkout in which wgan is set up.

It walks the whole way once, in an empty folder with a copy of PHOTOS, on a terminal of 80 columns, and puts what was
seen there into the page: as it stood on the screen when each command had ended.
"""

import argparse
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyte
from bench_shared import say

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "walk.md"
COLUMNS, ROWS = 80, 24
PATIENCE = 3600.0  # seconds for one command
_BLOCK = re.compile(r"(<!-- capture: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


@dataclass(frozen=True)
class Typed:
    """What is typed: a command, and where a Ctrl-C follows, the words on the screen that it waits for.

    ``meanwhile`` is typed on another terminal before that Ctrl-C.
    """

    command: str
    stop_at: str | None = None
    meanwhile: str | None = None


WALK: dict[str, list[Typed]] = {
    "train": [Typed("wgan train --data photos minutes=6", stop_at="SWD")],
    "resume": [Typed("wgan train --resume")],
    "export": [Typed("wgan export --format onnx")],
    "sample": [Typed("wgan sample --backend onnx -n 64")],
    "deploy": [Typed("wgan sample --model generator.onnx -n 8 --seed 5000 --out eight.png")],
    "serve": [
        Typed(
            "wgan serve --model generator.onnx",
            stop_at="http://",
            meanwhile=r"curl -sO -w '%{content_type}\n' http://127.0.0.1:8000/v1/images/5000.png",
        )
    ],
}
DEPLOYED = ("deploy", "serve")  # captures on the other machine


def capture(typed: Typed, folder: Path, environment: Mapping[str, str]) -> tuple[list[str], int]:
    """The lines that stand on a terminal of 80 columns when the command has ended, and its exit code.

    What another terminal showed meanwhile comes after them.
    """
    other: list[str] = []
    screen = pyte.HistoryScreen(COLUMNS, ROWS, history=10_000, ratio=1.0)
    screen.set_mode(pyte.modes.LNM)
    stream = pyte.ByteStream(screen)
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        settings = {"TERM": "xterm-256color", "COLUMNS": str(COLUMNS), "LINES": str(ROWS), "NO_COLOR": "1"}
        os.execvpe("bash", ["bash", "-c", typed.command], {**environment, **settings})
    began, stopped = time.monotonic(), False
    while time.monotonic() - began < PATIENCE:
        ready, _, _ = select.select([terminal], [], [], 1.0)
        if ready:
            try:
                seen = os.read(terminal, 65_536)
            except OSError:  # Linux's word for the end of a terminal
                break
            if not seen:
                break
            stream.feed(seen)
        if typed.stop_at is not None and not stopped and any(typed.stop_at in line for line in screen.display):
            if typed.meanwhile is None:
                time.sleep(5)
            else:
                seen_there, code = capture(Typed(typed.meanwhile), folder, environment)
                if code:
                    raise SystemExit(f"docs_walk: `{typed.meanwhile}` ended with {code}:\n" + "\n".join(seen_there))
                other = ["", f"$ {typed.meanwhile}", *seen_there]
            os.write(terminal, b"\x03")
            stopped = True
    else:
        os.kill(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.close(terminal)
    return [*lines_of(screen), *other], code


def lines_of(screen: pyte.HistoryScreen) -> list[str]:
    """All that has been on the screen, from the first line to the last that is not empty."""
    past = ["".join(line[x].data for x in range(COLUMNS)) for line in screen.history.top]
    lines = [line.rstrip() for line in [*past, *screen.display]]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def filled(page: str, captures: Mapping[str, list[str]]) -> str:
    """The page with each capture that is there anew in its place."""

    def block(match: re.Match[str]) -> str:
        lines = captures.get(match[2])
        return match[0] if lines is None else "\n".join([f"{match[1]}```console", *lines, "```", match[3]])

    return _BLOCK.sub(block, page)


def walk(photos: Path, folder: Path, slim: Path) -> dict[str, list[str]]:
    """Goes the whole way in ``folder``; the last part with the install ``slim``, which has no torch."""
    shutil.copytree(photos, folder / "photos")
    captures: dict[str, list[str]] = {}
    for name, typed in WALK.items():
        place, bin_ = folder, Path(sys.executable).parent
        if name in DEPLOYED:
            place, bin_ = folder / "server", slim / "bin"
            place.mkdir(exist_ok=True)
            (made,) = (folder / "runs").glob("*/export/generator.onnx")
            shutil.copy(made, place)
        environment = {**os.environ, "PATH": f"{bin_}{os.pathsep}{os.environ['PATH']}"}
        lines: list[str] = []
        for one in typed:
            say(f"$ {one.command}")
            seen, code = capture(one, place, environment)
            if code != (0 if one.stop_at is None else 130):
                raise SystemExit(f"docs_walk: `{one.command}` ended with {code}:\n" + "\n".join(seen))
            lines += [f"$ {one.command}", *seen]
        captures[name] = lines
    return captures


def main() -> None:
    """Walks, and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, help="folder of images")
    photos = parser.parse_args().photos
    if not photos.is_dir():
        parser.error(f"{photos} is no folder of images")
    with tempfile.TemporaryDirectory() as place:
        slim, folder = Path(place) / "slim", Path(place) / "walk"
        folder.mkdir()
        say("installing wgan[onnx-cpu,serve] into an environment of its own")
        subprocess.run([sys.executable, "-m", "venv", str(slim)], check=True)
        install = [str(slim / "bin" / "pip"), "install", "-q", "-c", "constraints.txt", ".[onnx-cpu,serve]"]
        subprocess.run(install, cwd=ROOT, check=True)
        captures = walk(photos, folder, slim)
    PAGE.write_text(filled(PAGE.read_text("utf-8"), captures), "utf-8")
    say(f"wrote {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
