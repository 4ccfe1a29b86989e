"""Settings that were given like options: `--steps 10` for `steps=10`, and the command as it was meant."""

import difflib
import shlex
from collections.abc import Iterable, Sequence
from importlib.util import find_spec

TAKERS = ("train", "demo")  # commands that take settings


def meant(words: Sequence[str], options: Iterable[str]) -> str | None:
    """What to say of a command in which settings stand like options; None where none does.

    Args:
        words: of the command line, without the program's name.
        options: names of the command's own options.
    """
    place = next((index for index, word in enumerate(words) if word in TAKERS), None)
    if place is None or find_spec("yaml") is None:
        return None
    from wgan.training.config import FIELDS

    known, mended, wrong = set(options), list(words[: place + 1]), []
    rest = list(words[place + 1 :])
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        setting = None if name in known or not name.startswith("-") else _setting(name.lstrip("-"), FIELDS)
        if setting is None:
            mended.append(word)
            continue
        if not equals:
            follows = bool(rest) and (not rest[0].startswith("-") or _is_number(rest[0])) and "=" not in rest[0]
            of_truth = FIELDS[setting].type is bool
            value = rest.pop(0) if follows else "true" if of_truth else str(FIELDS[setting].default)
        mended.append(f"{setting}={value}")
        wrong.append(mended[-1])
    if not wrong:
        return None
    return f"settings are given as {wrong[0]}, without dashes: `{shlex.join(['wgan', *mended])}`"


def _setting(name: str, known: Iterable[str]) -> str | None:
    """The setting that a name means, spelt with dashes or nearly right."""
    name = name.replace("-", "_").lower()
    near = difflib.get_close_matches(name[:80], known, n=1, cutoff=0.85)
    return near[0] if near else None


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
