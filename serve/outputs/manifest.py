"""A manifest: the small JSON file that says what the images beside it were made of. Written whole, once, by one."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wgan.serve.base.address import Address, Place
from wgan.serve.base.errors import OutputError
from wgan.serve.base.files import atomic_create, writing
from wgan.serve.base.foreign_json import parse_json
from wgan.serve.stores import head, read, write

LONGEST = 2**20  # bytes that are read


@dataclass(frozen=True)
class Manifest:
    """The file at ``path``; ``kind`` is the key that marks it, whose value is its schema."""

    path: Place
    kind: str

    def read(self) -> dict[str, Any] | None:
        """What it says; None where there is none.

        Raises:
            OutputError: it cannot be read, or it is a file of something else.
        """
        with writing(self.path):
            if isinstance(self.path, Address) and head(self.path) is None:
                return None
            try:
                text = read(self.path, 0, LONGEST)
            except FileNotFoundError:
                return None
        manifest = self.parse(text)
        if manifest is None:
            what = self.kind.removeprefix("wgan_")
            raise OutputError(f"{self.path} is there and does not describe {what} of wgan: choose another --out")
        return manifest

    def parse(self, text: bytes) -> dict[str, Any] | None:
        """What a manifest of this kind says; None of any other text."""
        try:
            manifest = parse_json(text)
        except ValueError:
            return None
        return manifest if isinstance(manifest, dict) and self.kind in manifest else None

    def create(self, facts: Mapping[str, Any]) -> bool:
        """Writes it where there is none; False where there is one. Raises OutputError, of storage StoreError.

        In storage it does not matter who wrote one that says the same.
        """
        text = (json.dumps(facts, indent=2) + "\n").encode()
        return write(self.path, text, create=True) if isinstance(self.path, Address) else atomic_create(self.path, text)


def difference(there: Mapping[str, Any], wanted: Mapping[str, Any]) -> str | None:
    """The first key in which two manifests differ, None where they are the same."""
    return next((key for key in [*wanted, *there] if there.get(key) != wanted.get(key)), None)


def short(value: object) -> str:
    """A manifest's value for a line."""
    text = "none" if value is None else " ".join(str(value).split())
    if len(text) == 64:  # a digest
        return f"{text[:12]}…"
    return text if len(text) <= 100 else f"{text[:100]}…"
