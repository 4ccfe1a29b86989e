"""Commands as they are shown to people: whole, quoted for a shell, so that they can be pasted as they are."""

import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from wgan.serve.base.address import Address
from wgan.serve.base.fetched import as_typed
from wgan.serve.base.written import in_bytes

Word = str | os.PathLike[str] | Address | int | float
COMMANDS = ("train", "demo", "export", "verify", "sample", "eval", "bench")  # those that take --device
RUNNERS = ("sample", "eval")  # the commands that run one generator
_called: ContextVar[tuple[str, ...]] = ContextVar("called", default=())


def command(*words: Word, **settings: Any) -> str:
    """`wgan train --resume --run 'my runs/a' lr_g=5e-05`: the program with these words, then the settings.

    Args:
        words: in their order; None is not among them.
        settings: by name, as `key=value`; as `key=value` reads them again.
    """
    pairs = [f"{name}={written(value)}" for name, value in settings.items()]
    return " ".join(map(_quoted, ["wgan", *(as_typed(str(word)) for word in words), *pairs]))


def _quoted(word: str) -> str:
    """A word for a shell, in which also a name survives that no text can show: `$'a\\377.npy'`."""
    if all(character.isprintable() for character in word):
        return shlex.quote(word)
    try:
        return in_bytes(word)
    except UnicodeError:  # half a character, which no name of a file has
        return shlex.quote(word)


@contextmanager
def called(words: Sequence[str]) -> Iterator[None]:
    """While it is open, these are the words of the command that runs, as `again` gives them back."""
    token = _called.set(tuple(words))
    try:
        yield
    finally:
        _called.reset(token)


def called_now() -> tuple[str, ...]:
    """The words of the command that runs; none in a program that imports wgan."""
    return _called.get()


def again(*words: Word, of: Sequence[str], without: Sequence[str] = ()) -> str | None:
    """The command that runs now, with other options: `wgan sample -n 64 --backend onnx` instead of `--backend trt`.

    Args:
        words: an option and its value, a flag, or a `key=value`: they replace those of the same name.
        of: the commands that take them.
        without: options with a value that are left out.

    Returns:
        None where another command runs, or none: in a program that imports wgan.
    """
    now = list(_called.get())
    if not now or now[0] not in of:
        return None
    new = [str(word) for word in words]
    flag = new[-1:] if len(new) == 1 and new[0].startswith("-") else []
    dropped = {*without, *(word for word in new if word.startswith("-") and word not in flag)}
    keys = {word.partition("=")[0] for word in new if "=" in word and not word.startswith("-")}
    kept: list[str] = []
    values = iter(now)
    for word in values:
        if word in dropped:
            next(values, None)
        elif word not in flag and word.partition("=")[0] not in dropped | keys:
            kept.append(word)
    return command(*kept, *new)


def or_again(*words: Word, of: Sequence[str], without: Sequence[str] = ()) -> str:
    """`again` as it stands in a sentence; where no command runs, the words alone: `--backend onnx`."""
    whole = again(*words, of=of, without=without)
    return " ".join(_quoted(as_typed(str(word))) for word in words) if whole is None else f"`{whole}`"


def explained() -> str:
    """Where the command that runs is explained: `wgan sample --help`."""
    name = next((word for word in _called.get() if not word.startswith("-")), None)
    return command(*([] if name is None else [name]), "--help")


def chosen(option: str) -> list[str]:
    """An option of the command that runs, with its value, for another command that takes it too; nothing without."""
    now = _called.get()
    if option in now[:-1]:
        return [option, now[now.index(option) + 1]]
    return [word for word in now if word.startswith(f"{option}=")]


def written(value: Any) -> str:
    """A setting's value as YAML reads it again: truth values in small letters, numbers with no needless digits."""
    if isinstance(value, float) and value == float(f"{value:g}"):
        return f"{value:g}"
    return str(value).lower() if isinstance(value, bool) else str(value)
