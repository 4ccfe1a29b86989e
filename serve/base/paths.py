"""One rule for every path that a user names: an option, a setting, a name given from Python.

A leading `~` is a home. Refused in a line are an empty name, a name that no file system takes, `-` but where a stream
is taken, and an address such as s3://bucket/key but where object storage is.
"""

import errno
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path, PurePath
from typing import Literal, overload
from urllib.parse import urlsplit
from urllib.request import url2pathname

from wgan.serve.base.address import SCHEMES, Address, Place, is_address, parse_address
from wgan.serve.base.errors import ConfigError

STDIN, STDOUT = Path("/dev/stdin"), Path("/dev/stdout")  # what `-` is
# two letters at least: C:\ is a drive. The last ones are also known with one slash, as Path("s3://b") writes them
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://|(?:s3|gs|https?|file):/", re.IGNORECASE)
_NEVER = (errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL)
_LONGEST = 200  # characters that a line shows

AnyPath = str | os.PathLike[str]
AnyPlace = AnyPath | Address


def named_path(name: AnyPath, what: str, *, dash: Path | None = None, file: bool = False) -> Path:
    """The path that a user named.

    Args:
        name: as it was typed.
        what: the option, setting or argument, as errors call it.
        dash: what `-` is; None: it is refused.
        file: the path is no folder's, unless one is there: it does not end in a slash.

    Raises:
        ConfigError: it is no path, or no file system takes it.
    """
    text = os.fspath(name)
    if dash is not None and text == "-":
        return dash
    if (why := not_a_path(text)) is not None:
        raise ConfigError(f"{what} {_shown(text)} {why}")
    path = _home(text, what)
    slash = text.endswith(tuple(filter(None, (os.sep, os.altsep))))
    try:
        found = os.stat(f"{path}{os.sep}" if slash and path.name else path)  # noqa: PTH116
    except OSError as error:
        if error.errno in (*_NEVER, *((errno.ENOTDIR,) if slash else ())):
            raise ConfigError(f"{what} {_shown(text)}: {error.strerror}; name another path") from None
        found = None
    except ValueError:  # half a character
        raise ConfigError(f"{what} {_shown(text)} has characters that no name of a file can have") from None
    if slash and file and found is None:
        raise ConfigError(f"{what} {_shown(text)} ends as a folder's name does: for a file leave the last slash out")
    return path


def named_place(name: AnyPlace, what: str, *, dash: Path | None = None, file: bool = False) -> Place:
    """The place that a user named: an address in object storage, or a path, which file:// may stand before.

    Arguments and errors as `named_path` has them; also refused are addresses of nothing known here.
    """
    if isinstance(name, Address):
        return name
    text = os.fspath(name)
    if is_address(text):
        address = parse_address(text, what)
        if file and (not address.key or text.endswith("/")):
            raise ConfigError(f"{what} {address} is a bucket or a prefix: name an object, {address / 'NAME'}")
        return address
    if text[:7].lower() == "file://":
        parts = urlsplit(text)
        if parts.netloc not in ("", "localhost"):
            raise ConfigError(f"{what} {_shown(text)} is a file of another machine: write file:///PATH")
        text = url2pathname(parts.path)
    elif (scheme := _ADDRESS.match(text)) is not None:
        if not scheme[0].endswith("//"):
            raise ConfigError(f"{what} {_shown(text)} has lost a slash, as a Path does: give an address as text")
        known = ", ".join(f"{each}://" for each in (*SCHEMES, "file"))
        raise ConfigError(f"{what} {scheme[0]}… is an address, and not of {known}: name one of these, or a path")
    return named_path(text, what, dash=dash, file=file)


def not_a_path(text: str) -> str | None:
    """Why the text is no path, and what to do, after its name; None where it is one. Nothing is looked up."""
    if not text:
        return "is empty: name a path"
    if text.isspace():
        return "is blank: name a path"
    if "\0" in text:
        return "has a NUL, which no name of a file can have"
    if text == "-":
        return "is no stream here: name a file (one that is called - is ./-)"
    if (scheme := _ADDRESS.match(text)) is None:
        return None
    if scheme[0].lower().startswith("file:"):
        return "is an address: leave file:// out and name the path alone"
    return "is an address, and what is meant here is a file of this machine: name a path"


@overload
def option(
    what: str, *, dash: Path | None = None, file: bool = False, endings: Sequence[str] = ()
) -> Callable[[AnyPath], Path]: ...


@overload
def option(
    what: str, *, dash: Path | None = None, file: bool = False, endings: Sequence[str] = (), remote: Literal[True]
) -> Callable[[AnyPlace], Place]: ...


def option(
    what: str, *, dash: Path | None = None, file: bool = False, endings: Sequence[str] = (), remote: bool = False
) -> Callable[[AnyPath], Path] | Callable[[AnyPlace], Place]:
    """A parser for typer that reads the value of ``what`` by `named_path`, or where ``remote`` by `named_place`.

    ``endings``, with a dot, are of files.
    """

    def parse(value: AnyPlace) -> Place:
        if isinstance(value, Path | Address):  # a default
            return value
        is_file = file or PurePath(value).suffix.lower() in endings
        return (named_place if remote else named_path)(value, what, dash=dash, file=is_file)

    return parse


def _home(text: str, what: str) -> Path:
    """The path, its leading ~ or ~user replaced by a home."""
    if not text.startswith("~"):
        return Path(text)
    try:
        return Path(text).expanduser()
    except RuntimeError:
        user = PurePath(text).parts[0][1:]
        why = f"there is no user {user!r} here" if user else "this user has no home"
        raise ConfigError(
            f"{what} {_shown(text)}: {why}; a name that begins with ~ is written ./{_shown(text)}"
        ) from None


def _shown(text: str) -> str:
    return repr(text) if not text.strip() else text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
