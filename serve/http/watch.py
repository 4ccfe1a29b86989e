"""When a file's place is taken by another."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from wgan.serve.artifacts.artifact import sidecar
from wgan.serve.artifacts.remote import state
from wgan.serve.base.address import Address, Place
from wgan.serve.base.errors import StoreError

SECONDS = 1.0  # between two looks at a file
REMOTE_SECONDS = 30.0  # the same at an object: each look is a question to storage, which may cost

State = tuple[tuple[int, int, int] | str | None, ...]


async def changes(place: Place) -> AsyncIterator[None]:
    """Yields when the file, or the metadata beside it, is another and has been the same for two looks."""
    remote = isinstance(place, Address)

    async def look() -> State:
        return await asyncio.to_thread(_stored, place) if isinstance(place, Address) else _state(place)

    served = seen = await look()
    while True:
        await asyncio.sleep(REMOTE_SECONDS if remote else SECONDS)
        now = await look()
        if now == seen != served and now[0] is not None:
            served = now
            yield
        seen = now


def _stored(place: Address) -> State:
    try:
        return (state(place) or None,)
    except StoreError:  # out of reach: what is served stays
        return (None,)


def _state(path: Path) -> State:
    def of(file: Path) -> tuple[int, int, int] | None:
        try:
            found = file.stat()
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns

    return of(path), of(sidecar(path))
