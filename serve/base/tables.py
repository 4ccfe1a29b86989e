"""Tables as wide as the terminal; where it is too narrow for one, a block of lines for each row."""

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from wgan.serve.base.fold import terminal_width
from wgan.serve.base.paint import as_verdict, painted, style_of
from wgan.serve.base.terminal import plain

if TYPE_CHECKING:
    from rich.table import Table

FREE = 24  # columns that a text of any length needs at least beside the others
GAP = 2


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Sequence[str] = (),
    verdict: str | None = None,
    free: str | None = None,
    width: int | None = None,
) -> str:
    """Rows below their head, or a block for each of them; no line ends in spaces.

    Args:
        head: what the columns are called; the first one names the row.
        rows: cells, cleaned here of what steers a terminal.
        right: columns that are aligned at the right.
        verdict: the column whose words are coloured.
        free: the column whose text may go on in further lines.
        width: columns; None: the terminal's.
    """
    width = width or terminal_width()
    cells = [[" ".join(plain(cell).split()) for cell in row] for row in rows]
    if _needed(head, cells, free) > width:
        return _blocks(head, cells, verdict, width)
    from rich.table import Table
    from rich.text import Text

    made = Table(box=None, pad_edge=False, header_style="", padding=(0, GAP, 0, 0), collapse_padding=True)
    for name in head:
        made.add_column(name, justify="right" if name in right else "left", no_wrap=name != free, overflow="fold")
    for row in cells:
        styles = ((name == verdict and style_of(cell)) or "" for name, cell in zip(head, row, strict=True))
        made.add_row(*map(Text, row, styles))
    return _lines(made, width)


def _needed(head: Sequence[str], rows: Sequence[Sequence[str]], free: str | None) -> int:
    """Columns of the terminal that the table needs."""
    from rich.cells import cell_len

    widths = [max(map(cell_len, column)) for column in zip(head, *rows, strict=True)]
    taken = (min(wide, FREE) if name == free else wide for name, wide in zip(head, widths, strict=True))
    return sum(taken) + GAP * (len(head) - 1)


def _lines(made: "Table", width: int) -> str:
    """A table of Rich's as text, its colours marked."""
    import io

    from rich.console import Console

    console = Console(file=io.StringIO(), width=width, color_system=None, markup=False, emoji=False, highlight=False)
    lines = []
    for line in console.render_lines(made, pad=False):
        texts = []
        for segment in line:
            colour = segment.style and segment.style.color
            word = segment.text.rstrip()
            texts.append(painted(word, colour.name) + segment.text[len(word) :] if colour else segment.text)
        lines.append("".join(texts).rstrip())
    return "\n".join(lines)


def _blocks(head: Sequence[str], rows: Sequence[Sequence[str]], verdict: str | None, width: int) -> str:
    """A line with each row's name, and below it a line for each cell that says something."""
    named = max(map(len, head[1:]), default=0)
    blocks = []
    for row in rows:
        lines = [row[0]]
        for name, cell in zip(head[1:], row[1:], strict=True):
            if cell in ("", "-"):
                continue
            begin = f"  {name:<{named}}  "
            text = textwrap.wrap(cell, max(width - len(begin), FREE // 2), break_on_hyphens=False) or [""]
            first = as_verdict(cell) if name == verdict and len(text) == 1 else text[0]
            lines += [begin + first, *(" " * len(begin) + more for more in text[1:])]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)
