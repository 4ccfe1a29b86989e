"""What was fetched from object storage is called by the address that was typed, never by where it lies here."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from wgan.serve.base.address import Address
from wgan.serve.base.errors import WganError

_addresses: dict[str, str] = {}  # a folder of this machine → the prefix whose objects lie in it


def note(folder: Path, prefix: Address) -> None:
    """From now on a file in ``folder`` is called as the object below ``prefix`` that it is a copy of."""
    for path in (folder, folder.resolve()):
        _addresses[str(path)] = str(prefix).rstrip("/")


def as_typed(said: Any) -> Any:
    """Text with addresses in place of where their objects lie here; of lists and mappings their texts."""
    if not _addresses:
        return said
    if isinstance(said, str):
        for folder in sorted(_addresses, key=len, reverse=True):
            said = said.replace(folder, _addresses[folder])
        return said
    if isinstance(said, dict):
        return {key: as_typed(value) for key, value in said.items()}
    return [as_typed(value) for value in said] if isinstance(said, list | tuple) else said


@contextmanager
def told_as_typed() -> Iterator[None]:
    """Errors that a program gets, which do not go through the terminal, name addresses too."""
    try:
        yield
    except WganError as error:
        error.args = tuple(as_typed(part) for part in error.args)
        raise
