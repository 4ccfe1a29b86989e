"""When a file's place is taken by another."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from wgan.serve.artifacts.artifact import sidecar

SECONDS = 1.0  # between two looks

State = tuple[tuple[int, int, int] | None, ...]


async def changes(path: Path) -> AsyncIterator[None]:
    """Yields when the file, or the metadata beside it, is another and has been the same for two looks."""
    served = seen = _state(path)
    while True:
        await asyncio.sleep(SECONDS)
        now = _state(path)
        if now == seen != served and now[0] is not None:
            served = now
            yield
        seen = now


def _state(path: Path) -> State:
    def of(file: Path) -> tuple[int, int, int] | None:
        try:
            found = file.stat()
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns

    return of(path), of(sidecar(path))
