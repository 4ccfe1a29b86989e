"""Which files of a folder or an archive are images, and which classes their folders make."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import PurePosixPath
from typing import Any

from wgan.serve.outputs.marks import IMAGES


def printable(text: str) -> str:
    """A file's name on one line, whatever is in it."""
    return "".join(c if c.isprintable() else "?" for c in text)


def is_image(path: str) -> bool:
    """By its ending; neither hidden, nor in a hidden folder, nor outside the root."""
    parts = PurePosixPath(path).parts
    hidden = any(part.startswith((".", "/")) or part == "__MACOSX" for part in parts)
    return not hidden and PurePosixPath(path).suffix.lower() in IMAGES


def top_folders(paths: Sequence[str]) -> list[str | None]:
    """The folder just below the root that each path lies in; None where it lies in none."""
    return [path.split("/", 1)[0] if "/" in path else None for path in paths]


def labels_of(
    kinds: Sequence[str | None], order: Callable[[str], Any] = str
) -> tuple[list[int] | None, tuple[str, ...] | None]:
    """Labels and class names from the class of each image, if all have one and there are two or more."""
    classes = sorted({kind for kind in kinds if kind is not None}, key=order)
    if None in kinds or len(classes) < 2:
        return None, None
    number = {name: i for i, name in enumerate(classes)}
    return [number[kind] for kind in kinds if kind is not None], tuple(printable(name) for name in classes)


def class_labels(paths: Sequence[str]) -> tuple[list[int] | None, tuple[str, ...] | None]:
    """Labels from the folders just below the root: all images lie in one, and there are two or more."""
    return labels_of(top_folders(paths))


def fingerprint(rows: Iterable[tuple[object, ...]]) -> str:
    """SHA-256 of a listing."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(repr(row).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
