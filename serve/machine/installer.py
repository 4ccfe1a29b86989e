"""How packages come into this environment: pip or uv, and which Python's, as a command begins."""

import os
import shlex
import shutil
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path


def installer() -> str:
    """`pip install`, as it reaches this environment from the shell that this process was started in.

    An environment that uv made has no pip: there it is uv's, and where that is missing too, pip comes first.
    """
    if find_spec("pip") is None and shutil.which("uv") is None and find_spec("ensurepip") is not None:
        return f"{_python()} -m ensurepip && {_python()} -m pip install"
    return f"{_pip()} install{_of_this()}"


def uninstaller() -> str:
    """The counterpart of `installer`; asks nothing."""
    return f"{_pip()} uninstall" + (" -y" if find_spec("pip") else _of_this())


def from_here(path: Path) -> str:
    """An absolute path as it is shortest: relative where it lies in the working folder."""
    try:
        here = Path.cwd()
    except OSError:  # it has been removed
        return str(path)
    return os.path.relpath(path, here) if here.name and path.is_relative_to(here) else str(path)


def _pip() -> str:
    """`pip` where the shell finds this environment's own by that name."""
    if find_spec("pip") is None:
        return "uv pip"
    return "pip" if _on_path("pip") else f"{_python()} -m pip"


def _of_this() -> str:
    """uv takes the active environment, or `.venv` in the working folder: any other must be named to it."""
    active = os.path.realpath(os.environ.get("VIRTUAL_ENV") or ".venv")
    return "" if find_spec("pip") or active == os.path.realpath(sys.prefix) else f" --python {_python()}"


def _python() -> str:
    """This Python as the shell finds it: by its name, or else by its path, relative where it lies in this folder."""
    for name in ("python", "python3"):
        if _on_path(name):
            return name
    return shlex.quote(from_here(Path(sys.executable)))


def _on_path(program: str) -> bool:
    """Whether the shell finds this environment's own program by its name."""
    found, own = shutil.which(program), (Path(sys.executable).parent, Path(sysconfig.get_path("scripts")))
    return found is not None and Path(found).parent.resolve() in [folder.resolve() for folder in own]
