"""What a line that is said tells its reader to run."""

import re
import shlex


def commands_in(line: str) -> list[list[str]]:
    """The words of each `wgan …` between backticks, without the program's own name."""
    return [shlex.split(text)[1:] for text in re.findall(r"`(wgan [^`]+)`", line)]


def last_command(text: str) -> list[str]:
    """The last command of the last line that has one."""
    return [words for line in text.splitlines() for words in commands_in(line)][-1]
