"""Commands as they are shown to people: whole, quoted for a shell, so that they can be pasted as they are."""

import os
import shlex
from typing import Any

Word = str | os.PathLike[str] | int | float


def command(*words: Word, **settings: Any) -> str:
    """`wgan train --resume --run 'my runs/a' lr_g=5e-05`: the program with these words, then the settings.

    Args:
        words: in their order; None is not among them.
        settings: by name, as `key=value`; as `key=value` reads them again.
    """
    pairs = [f"{name}={_written(value)}" for name, value in settings.items()]
    return shlex.join(["wgan", *(str(word) for word in words), *pairs])


def _written(value: Any) -> str:
    """As YAML reads it again: a truth value in small letters, a number with all its digits."""
    return str(value).lower() if isinstance(value, bool) else str(value)
