"""The command that installs an extra of this wgan, from where this wgan itself came.

Nobody has registered the name wgan. Whoever does would receive whoever installs it by that name: no command does.
"""

import json
import shlex
from importlib import metadata
from pathlib import Path
from typing import Any

from wgan.serve.machine.installer import from_here, installer
from wgan.serve.machine.requirements import requirements_of

NAME = "wgan"
CODE = Path(__file__).absolute().parents[2]  # a checkout, or the package in an environment


def install_command(extra: str | None = None) -> str:
    """A whole shell command that installs ``extra``, or for None wgan itself with what it always needs.

    From a checkout (editable, or on the path without being installed), a folder, a wheel, an address or a commit, as
    pip recorded it (PEP 610). Where nothing is recorded, or what was is gone, it names the packages that the extra asks
    for, as the installed metadata lists them.
    """
    words = _from_code(extra) or _from_record(extra) or requirements_of(NAME, extra)
    if not words:  # the bare code, without its pyproject.toml and without metadata
        return f"install what pyproject.toml lists for the extra {extra}"
    return " ".join([installer(), *map(shlex.quote, words)])


def _from_code(extra: str | None) -> list[str]:
    """From the checkout that this code lies in; nothing where it lies in an environment."""
    return _from_folder(CODE, extra, editable=True) if (CODE / "pyproject.toml").is_file() else []


def _from_record(extra: str | None) -> list[str]:
    """From where the installer says that it took wgan; nothing where it says none, or that is gone."""
    record = _record()
    url, subfolder = record.get("url"), record.get("subdirectory")
    if not isinstance(url, str):
        return []
    place = _place(url)
    if place is not None and not place.exists():
        return []
    if isinstance(folder := record.get("dir_info"), dict):
        return [] if place is None else _from_folder(place, extra, editable=folder.get("editable") is True)
    if isinstance(commit := record.get("vcs_info"), dict):
        if place is not None:  # pip before 24 takes no extra of a repository on this machine
            return []
        url = f"{commit.get('vcs')}+{url}@{commit.get('commit_id')}"
    elif place is not None:
        return [_as_pip_knows(place, extra)]
    return [f"{NAME}{_bracket(extra)} @ {url}" + (f"#subdirectory={subfolder}" if subfolder else "")]


def _record() -> dict[str, Any]:
    """What PEP 610's direct_url.json holds; nothing for a package of a registry, or of the system."""
    try:
        record = json.loads(metadata.distribution(NAME).read_text("direct_url.json") or "{}")
    except (metadata.PackageNotFoundError, OSError, RecursionError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _from_folder(folder: Path, extra: str | None, *, editable: bool) -> list[str]:
    """With the versions that the checkout was tested with, where it lists them."""
    what = _as_pip_knows(folder, extra)
    constraints = folder / "constraints.txt"
    pinned = ["-c", from_here(constraints)] if constraints.is_file() else []
    return [*(["-e"] if editable else []), what, *pinned]


def _place(url: str) -> Path | None:
    """The path that an address means on this machine; None for one of another."""
    if not url.startswith("file:"):
        return None
    from urllib.request import url2pathname

    return Path(url2pathname(url.removeprefix("file://")))


def _as_pip_knows(path: Path, extra: str | None) -> str:
    """`./a/checkout[train]`: without a slash or a dot pip takes it for a name."""
    word = from_here(path)
    return f"{'' if word in ('.', str(path)) else './'}{word}{_bracket(extra)}"


def _bracket(extra: str | None) -> str:
    return f"[{extra}]" if extra else ""
