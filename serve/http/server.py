"""A server's life: it listens, loads, is ready, takes new artifacts, drains and ends.

What listens is uvicorn. What a signal does is ours: uvicorn ends with 143 after a SIGTERM, and at once stops listening.
"""

import asyncio
import gc
import os
import signal
import socket
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from wgan.serve.backends.base import Backend
from wgan.serve.base.address import Place
from wgan.serve.base.errors import WganError
from wgan.serve.base.terminal import say, short
from wgan.serve.http.app import application
from wgan.serve.http.connection.uvicorns import LAST_WORDS, Uvicorn, configured
from wgan.serve.http.limits.settings import Settings
from wgan.serve.http.queue.metrics import Metrics
from wgan.serve.http.queue.model import Model, warm_up
from wgan.serve.http.queue.service import DRAINING, READY, Service
from wgan.serve.http.queue.workers import be_fair
from wgan.serve.http.watch import changes

INTERRUPTED = 130
COLLECTED = (20_000, 20, 20)  # objects, then collections: what a request leaves is freed without looking for circles


@dataclass(frozen=True)
class Source:
    """Where the generator comes from.

    Args:
        open: opens it, in the state that it is in now; raises WganError where it may not be served.
        ready: is told of the first one, when it has been run once.
        place: what is watched for a new one; None: the file that was opened.
    """

    open: Callable[[], Backend]
    ready: Callable[[Backend], None]
    place: Place | None = None


def run(source: Source, listener: socket.socket, settings: Settings) -> int:
    """Serves until a signal ends it; returns the exit code.

    Raises:
        WganError: the generator cannot be served.
    """
    be_fair()
    life = Life(source, Service(settings, Metrics()), listener)
    with asyncio.Runner(loop_factory=life.loop_factory) as runner:
        return runner.run(life.run())


class Life:
    """From the first connection to the last. Signals reach it where it runs on the main thread."""

    def __init__(self, source: Source, service: Service, listener: socket.socket):
        self._source, self.service, self._listener = source, service, listener
        config = configured(application(service), service)
        self.loop_factory = config.get_loop_factory()
        self._server = Uvicorn(config)
        self._settings = service.settings
        self._signals: list[int] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> int:
        """Returns the exit code."""
        self._loop, self._ending = asyncio.get_running_loop(), asyncio.Event()
        self._reloading = asyncio.Lock()
        if threading.current_thread() is threading.main_thread():
            self._listen_to_signals()
        serving = asyncio.create_task(self._server.serve([self._listener]))
        try:
            await self._start()
            if self.service.state == READY:
                await self._ending.wait()
            interrupted = self._signals[:1] == [signal.SIGINT]
            self.service.state = DRAINING
            if not interrupted:
                await asyncio.sleep(self._settings.drain_delay)
        finally:
            self._server.should_exit = True
            self._loop.call_later(self._settings.drain_timeout, self.service.abandon)
            await serving
            for task in self._tasks:
                task.cancel()
        with suppress(TimeoutError):
            await asyncio.wait_for(self.service.model.close(), LAST_WORDS)
        return INTERRUPTED if interrupted else 0

    async def _start(self) -> None:
        loading = asyncio.ensure_future(self._loaded())
        ending = asyncio.ensure_future(self._ending.wait())
        await asyncio.wait((loading, ending), return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()
        backend = await loading  # a runtime cannot be stopped while it loads
        self.service.serve(Model(backend, self._settings, self.service.metrics))
        if not self._signals:
            self.service.state = READY
            gc.collect()
            gc.freeze()  # what lives now lives to the end: collections need not look through it again
            gc.set_threshold(*COLLECTED)
            self._source.ready(backend)
            if self._settings.watch:
                self._spawn(self._watch(backend))

    async def _loaded(self) -> Backend:
        """A generator that has been run."""

        def load() -> Backend:
            backend = self._source.open()
            try:
                warm_up(backend, self._settings.batch_size)
            except BaseException:
                backend.close()
                raise
            return backend

        return await asyncio.get_running_loop().run_in_executor(None, load)

    async def _watch(self, backend: Backend) -> None:
        async for _ in changes(self._source.place or backend.path):
            await self.reload()

    async def reload(self) -> None:
        """Serves what is in the artifact's place now. Where it may not be served the old one stays."""
        async with self._reloading:
            if self.service.state != READY:  # what is there is being loaded, or the server ends
                return
            try:
                backend = await self._loaded()
            except Exception as error:  # whatever it is: a server that serves goes on, and goes on watching
                why = error if isinstance(error, WganError) else f"{type(error).__name__}: {short(error)}"
                say(f"the new artifact is not served, the old one stays: {why}")
                return
            before = self.service.serve(Model(backend, self._settings, self.service.metrics))
            say(f"serving the new artifact, {backend.digest[:12]}")
            if before is not None:
                self._spawn(before.retire())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()

        def listen(number: int, react: Callable[[], None]) -> None:
            try:
                loop.add_signal_handler(number, react)
            except NotImplementedError:  # Windows
                signal.signal(number, lambda *_: loop.call_soon_threadsafe(react))

        for number in (signal.SIGTERM, signal.SIGINT):
            listen(number, lambda number=number: self.end(number))  # type: ignore[misc]
        if hasattr(signal, "SIGHUP"):
            listen(signal.SIGHUP, lambda: self._spawn(self.reload()))

    @property
    def ending(self) -> bool:
        """Whether a signal has come."""
        return bool(self._signals)

    def end(self, number: int = signal.SIGTERM) -> None:
        """The first signal drains, the second ends at once."""
        self._signals.append(number)
        if len(self._signals) > 1:
            os._exit(128 + number)
        say("ending: requests under way are finished; a second signal ends at once")
        self._ending.set()
