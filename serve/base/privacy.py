"""What is said of a run where others can read it: of a path its last name alone.

Artifacts, model repositories and reports are copied, sent and put on show. Where their images lay, and under whose
name, is no concern of whoever gets them. A run's own `config.yaml` keeps the paths, as going on needs them.
"""

import re
import shlex
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from wgan.serve.base.address import SCHEMES, is_address

# a folder of such a name would read as the built-in dataset, or as a setting that is not used: it keeps a /
TAKEN = ("faces", "none", "auto")
LONGEST = 100  # characters of a name
# an absolute path's folders; not those of an address, which follow a colon, unless it is one of this machine
_LOCAL = r"(?:(?:[a-z]+\+)?file://)?(?:[A-Za-z]:)?[\\/]"
_FOLDERS = re.compile(rf"(?:(?<=^)|(?<=[\s'\"`(=])){_LOCAL}(?:[^\s'\"`;:\\/]+[\\/])+")
_STORED = re.compile(
    rf"\b(?:{'|'.join(SCHEMES)})://(?:[^\s'\"`;/]+/)*", re.IGNORECASE
)  # of an address its bucket and prefix
# the same of a word that is quoted for a shell, as `shlex.quote` does it: its folders may have blanks and quotes
_QUOTED = re.compile(rf"(?<![^\s(=])'((?:[\w.-]+\[[\w,-]*\] @ )?){_LOCAL}(?:[^'\n]|'\"'\"')*[\\/]")


def last_name(text: str) -> str:
    """The last part of a path; text that is no path as it is."""
    whole = text.rstrip("/\\")
    name = re.split(r"[/\\]", whole)[-1]
    if name == text or not name:
        return text
    return f"{name}/" if name in TAKEN else name


def not_a_name(text: str) -> str | None:
    """Why the text is not fit to be what others read as the name of the data; None where it is."""
    if not text.strip():
        return "is blank"
    if not text.isprintable():
        return "holds characters that do not print"
    if re.search(r"[/\\]|^~|^[A-Za-z]:", text) or text in (".", ".."):
        return "is a path"
    return f"is longer than {LONGEST} characters" if len(text) > LONGEST else None


def given_name(settings: Mapping[str, Any]) -> str | None:
    """What a run's `data_name` calls its data; None where that is left to the path."""
    name = settings.get("data_name")
    return last_name(name) if isinstance(name, str) and name != "auto" else None


def public_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a run without paths. The data is called by its own name, where `data_name` gives it one."""
    shown = {name: last_name(value) if isinstance(value, str) else value for name, value in settings.items()}
    given = given_name(settings)
    return shown if given is None else shown | {"data": given}


def public_source(source: Mapping[str, Any]) -> dict[str, Any]:
    """An artifact's `source` without paths: files from before it had none still have them."""
    config = source.get("config")
    return {**source, "config": public_settings(config)} if isinstance(config, Mapping) else dict(source)


def public_line(text: str, run: Path, settings: Mapping[str, Any]) -> str:
    """A line that the run in this folder has said, without paths: of the folder, of its settings, or any other."""
    named = (value for value in settings.values() if isinstance(value, str) and "/" in value)
    return without_paths(text, run, run.resolve(), *named)


def without_paths(text: str, *known: str | Path) -> str:
    """Text in which each of the ``known`` paths, each absolute path and each address has become its last name.

    Of a known path any end counts, as it may have been named from a folder further in.
    """
    for path in known:
        if is_address(str(path)):
            for written in (shlex.quote(str(path)), str(path)):
                text = text.replace(written, last_name(str(path)))
            continue
        for parts in _ends(PurePath(path)):
            for written in (shlex.quote(parts), parts):
                text = text.replace(written, PurePath(parts).name)
    return _FOLDERS.sub("", _QUOTED.sub(r"'\1", _STORED.sub("", text)))


def _ends(path: PurePath) -> list[str]:
    """A path and what it is called from the folders that it lies in, longest first; its last name is none of them."""
    parts = path.parts
    return [str(PurePath(*parts[start:])) for start in range(len(parts) - 1)]
