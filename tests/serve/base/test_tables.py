"""Tables fit the terminal, and are blocks where it is too narrow for columns."""

import pytest

from wgan.serve.base import paint
from wgan.serve.base.fold import terminal_width
from wgan.serve.base.tables import table

HEAD = ("artifact", "on", "max", "parity")
ROWS = [("generator.onnx", "cpu", "4.9e-07", "holds"), ("generator.plan", "-", "-", "not run")]
WHY = "a reason that goes on and on, in many words, until it no longer fits into what is left of any line at all"


def test_a_table_has_its_columns_one_under_the_other() -> None:
    lines = paint.unpainted(table(HEAD, ROWS, right=("max",), verdict="parity", width=80)).splitlines()
    assert lines == [
        "artifact        on       max  parity",
        "generator.onnx  cpu  4.9e-07  holds",
        "generator.plan  -          -  not run",
    ]


def test_on_a_narrow_terminal_each_row_is_a_block_of_lines() -> None:
    lines = paint.unpainted(table(HEAD, ROWS, verdict="parity", width=30)).splitlines()
    assert lines == [
        "generator.onnx",
        "  on      cpu",
        "  max     4.9e-07",
        "  parity  holds",
        "",
        "generator.plan",
        "  parity  not run",
    ]


@pytest.mark.parametrize("width", [30, 44, 80, 120])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    rows = [("torch", "cpu", "yes", WHY), ("trt", "cuda", "no", WHY)]
    shown = paint.unpainted(table(("backend", "on", "runs", ""), rows, verdict="runs", free="", width=width))
    assert max(map(len, shown.splitlines())) <= width
    assert shown.split().count("reason") == 2


@pytest.mark.parametrize("width", [30, 80])
def test_verdicts_are_marked_and_foreign_cells_are_clean(width: int) -> None:
    shown = table(("file", "parity"), [("a\x1b[2J\ufdd0\nb", "FAILS")], verdict="parity", width=width)
    assert paint.painted("FAILS", "red") in shown
    assert "a\ufffd[2J\ufffd b" in shown


def test_the_width_is_what_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "44")
    assert terminal_width() == 44
