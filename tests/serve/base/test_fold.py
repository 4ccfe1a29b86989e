"""Long lines break between words on a terminal, and commands in them can be pasted."""

import io

import pytest

from wgan.serve.base.fold import folded
from wgan.serve.base.paint import painted
from wgan.serve.base.terminal import written_on

COMMAND = "`wgan train --resume --run 'my runs/a run' lr_g=5e-05 lr_d=5e-05 n_critic=10`"


@pytest.mark.parametrize("width", [20, 44, 80])
def test_lines_break_between_words_and_no_command_is_broken(width: int) -> None:
    line = f"the critic is far ahead: try {COMMAND}, or a new run with other images"
    lines = folded(line, width).split("\n")
    assert " ".join(lines) == line
    assert all(len(part) <= width for part in lines if "`" not in part)
    assert sum(COMMAND in part for part in lines) == 1


@pytest.mark.parametrize(
    "line",
    [
        "next: wgan train --resume --run runs/20261128-083531-digits lr_g=5e-05 lr_d=5e-05",
        "      pip install -e '/home/somebody/with a long name/wgan[train]' -c constraints.txt",
        "generator.onnx  cpu  " + painted("holds", "green") + "  and more",
        "short",
    ],
)
def test_what_is_laid_out_or_a_command_alone_is_left_as_it_is(line: str) -> None:
    assert folded(line, 30) == line


def test_only_a_terminal_gets_broken_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("COLUMNS", "30")
    line = "a line of more than thirty columns, of words"
    assert written_on(io.StringIO(), line) == line
    assert written_on(Terminal(), line) == "a line of more than thirty\ncolumns, of words"
