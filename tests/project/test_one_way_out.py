"""All that the program says goes through `serve/base/written.py`: no module of ours writes to a stream past it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import ROOT

SOURCES = sorted(path for folder in ("serve", "training", "export", "wgan") for path in (ROOT / folder).rglob("*.py"))
PRINTERS = {"print", "pprint", "echo", "secho", "print_exc", "print_exception", "print_stack"}
STREAMS = {"sys.stdout", "sys.stderr", "sys.__stdout__", "sys.__stderr__"}
# the only modules that name a stream, and why
MAY_NAME = {
    "serve/base/written.py": "it is the way out",
    "serve/base/terminal.py": "decides which of the two",
    "serve/http/guard/access.py": "stderr as it is when a request ends, through `Surviving`",
    "training/run/progress.py": "tells Rich whether its bar is on stderr; writes through `put` and `console_on`",
    "wgan/cli.py": "the error as JSON, through `put`",
}
MAY_PRINT = {"export/formats/triton/served/client.py": "a program of its own, which users copy"}


def breaches(source: str) -> Iterator[tuple[int, str]]:
    """Lines that print, and lines that name a stream."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func).rpartition(".")[2]
            if name in PRINTERS and not ast.unparse(node.func).endswith("console.print"):  # Rich's, on `console_on`
                yield node.lineno, f"prints by {name}"
        elif isinstance(node, ast.Attribute) and ast.unparse(node) in STREAMS:
            yield node.lineno, f"names {ast.unparse(node)}"
        elif isinstance(node, ast.ImportFrom) and node.module == "sys":
            yield from ((node.lineno, f"names sys.{each.name}") for each in node.names if f"sys.{each.name}" in STREAMS)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_says_nothing_past_the_one_way_out(path: Path) -> None:
    name = path.relative_to(ROOT).as_posix()
    found = list(breaches(path.read_text("utf-8")))
    if name in MAY_NAME:
        found = [breach for breach in found if not breach[1].startswith("names")]
    if name in MAY_PRINT:
        found = [breach for breach in found if not breach[1].startswith("prints")]
    # say, fault, detail, emit and show of serve/base/terminal.py; put of serve/base/written.py for another stream
    assert found == []


def test_the_exceptions_are_still_needed() -> None:
    for name in {**MAY_NAME, **MAY_PRINT}:
        assert any(breaches((ROOT / name).read_text("utf-8"))), name


@pytest.mark.parametrize(
    "source",
    ["print(1)", "typer.echo('a')", "click.secho('a')", "traceback.print_exc()", "sys.stdout.write('a')",
     "print('a', file=sys.stderr)", "out = sys.stderr", "from sys import stdout", "sys.__stdout__.buffer"],
)  # fmt: skip
def test_what_goes_past_it_is_found(source: str) -> None:
    assert any(breaches(source))
