"""Long lines on a terminal: broken between words, but never inside a command that a reader may paste."""

import re
import shutil

from wgan.serve.base.paint import unpainted

USUAL = 80  # columns, where there is no terminal
_COMMAND = re.compile(r"`[^`]*`")
_GLUE = "\x00"  # in place of the spaces of a command: no text that is written has it


def terminal_width() -> int:
    """Columns of the terminal, or as the environment's COLUMNS has it."""
    return max(20, shutil.get_terminal_size((USUAL, 24)).columns)


def folded(text: str, width: int) -> str:
    """The text with its long lines broken between words, what stands in backticks whole.

    Lines that are indented or have colours are laid out already. Those that are nothing but a command are left to the
    terminal, whose own breaks are not copied.
    """
    return "\n".join(_folded(line, width) for line in text.split("\n"))


def _folded(line: str, width: int) -> str:
    seen = unpainted(line)
    if len(seen) <= width or seen != line or line[:1].isspace() or line.startswith("next: "):
        return line
    import textwrap

    glued = _COMMAND.sub(lambda match: match[0].replace(" ", _GLUE), line)
    parts = textwrap.wrap(glued, width, break_long_words=False, break_on_hyphens=False)
    return "\n".join(parts).replace(_GLUE, " ")
