"""What a line that is said tells its reader to run."""

import re
import shlex


def commands_in(line: str) -> list[list[str]]:
    """The words of each `wgan …` between backticks or behind `next:`, without the program's own name."""
    return [shlex.split(first or second)[1:] for first, second in re.findall(r"`(wgan [^`]+)`|^next: (wgan .+)", line)]


def last_command(text: str) -> list[str]:
    """The last command of the last line that has one."""
    return [words for line in text.splitlines() for words in commands_in(line)][-1]
