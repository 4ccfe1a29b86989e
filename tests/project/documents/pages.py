"""What of a page is run: the lines of its bash and console blocks, and its Python blocks."""

import re
from dataclasses import dataclass
from pathlib import Path

from tests import ROOT


@dataclass(frozen=True)
class Step:
    """Something that a page tells its reader to run: a command of one line, or a Python program."""

    language: str  # bash or python
    text: str
    line: int  # of the page, from 1


def steps(markdown: str) -> list[Step]:
    """The commands and programs of a page, in order, without prompts, comments and continued lines."""
    found: list[Step] = []
    fence = re.compile(r"^ *```(bash|console|python)[^\n]*\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
    for block in fence.finditer(markdown):
        language, body = block[1], block[2]
        first = markdown.count("\n", 0, block.start(2)) + 1
        if language == "python":
            indent = len(body) - len(body.lstrip(" "))
            found.append(Step("python", "\n".join(row[indent:] for row in body.splitlines()), first))
            continue
        joined, start = "", first
        for line, row in enumerate(body.splitlines(), first):
            start = start if joined else line
            joined += row.strip().removesuffix("\\")
            if row.endswith("\\"):
                continue
            prompted = joined.startswith("$ ")
            command = re.sub(r"(^|\s+)#\s.*$", "", joined.removeprefix("$ ")).strip()
            joined = ""
            if command and (prompted or language == "bash"):
                found.append(Step("bash", command, start))
    return found


def pages() -> list[Path]:
    """Every page whose commands are run."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
