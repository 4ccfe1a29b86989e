"""The table of docs/deploy/runtimes.md: what the tests assert. `python -m tests.interop.page` writes it."""

import re
import sys
from pathlib import Path

from tests import ROOT

sys.path.insert(0, str(ROOT / "scripts"))  # as pytest does

from tests.interop.cases import KINDS
from tests.interop.runtimes import RUNTIMES, Refusal, Runtime, pinned

PAGE = ROOT / "docs" / "deploy" / "runtimes.md"
START, END = "<!-- runtimes: tests/interop/page.py -->", "<!-- end of runtimes -->"


def table() -> str:
    """A row for each runtime, a column for each kind."""
    rows = [f"| runtime | version | {' | '.join(KINDS)} |", "|---" * (2 + len(KINDS)) + "|"]
    for name, runtime in RUNTIMES.items():
        cells = " | ".join(cell(runtime, kind) for kind in KINDS)
        rows.append(f"| {name} | {pinned(runtime.package)} | {cells} |")
    return "\n".join(rows)


def cell(runtime: Runtime, kind: str) -> str:
    """A bound, or that it is refused."""
    bound = runtime.bounds[kind]
    if isinstance(bound, Refusal):
        return f"refused: {bound.why}"
    if kind == "uint8":
        return f"{bound:g} level{'s' * (bound > 1)}"
    return f"{bound:g}".replace("e-0", "e-")


def filled(text: str) -> str:
    """The page with its table as it is now."""
    between = re.compile(f"{re.escape(START)}.*?{re.escape(END)}", re.DOTALL)
    text, count = between.subn(lambda _: f"{START}\n\n{table()}\n\n{END}", text)
    assert count == 1, f"the marks of the table are gone from {PAGE}"
    return text


def main(page: Path = PAGE) -> None:
    """Writes it."""
    page.write_text(filled(page.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
