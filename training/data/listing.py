"""Which files of a folder or an archive are images, and which classes their folders make."""

import hashlib
from collections.abc import Iterable
from pathlib import PurePosixPath

from wgan.serve.outputs.marks import IMAGES


def printable(text: str) -> str:
    """A file's name on one line, whatever is in it."""
    return "".join(c if c.isprintable() else "?" for c in text)


def is_image(path: str) -> bool:
    """By its ending; neither hidden, nor in a hidden folder, nor outside the root."""
    parts = PurePosixPath(path).parts
    hidden = any(part.startswith((".", "/")) or part == "__MACOSX" for part in parts)
    return not hidden and PurePosixPath(path).suffix.lower() in IMAGES


def class_labels(paths: list[str]) -> tuple[list[int] | None, tuple[str, ...] | None]:
    """Labels from the folders just below the root: all images lie in one, and there are two or more."""
    folders = [path.split("/", 1)[0] if "/" in path else None for path in paths]
    classes = sorted({folder for folder in folders if folder is not None})
    if None in folders or len(classes) < 2:
        return None, None
    number = {folder: i for i, folder in enumerate(classes)}
    return [number[folder] for folder in folders if folder is not None], tuple(printable(name) for name in classes)


def fingerprint(rows: Iterable[tuple[object, ...]]) -> str:
    """SHA-256 of a listing."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(repr(row).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
