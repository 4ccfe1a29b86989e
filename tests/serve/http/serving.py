"""Servers for tests: one in this process around any backend, one that is `wgan serve` itself."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from wgan.serve.backends.base import Backend
from wgan.serve.http.connection.listening import listen, url_of
from wgan.serve.http.limits.settings import Settings
from wgan.serve.http.queue.metrics import Metrics
from wgan.serve.http.queue.service import Service
from wgan.serve.http.server import Life, Source

PATIENCE = 60.0  # seconds for what takes none of them on a machine that is not busy


@dataclass
class Serving:
    """A server in a thread of this process."""

    url: str
    service: Service
    life: Life
    loop: asyncio.AbstractEventLoop

    @property
    def port(self) -> int:
        """Where it listens on 127.0.0.1."""
        return int(self.url.rsplit(":", 1)[1])

    def client(self, **options: Any) -> httpx.Client:
        """A client of it."""
        return httpx.Client(base_url=self.url, timeout=PATIENCE, trust_env=False, **options)

    def on_loop(self, function: Callable[[], Any]) -> Any:
        """What a function returns on the server's own thread."""
        done: Future[Any] = Future()
        self.loop.call_soon_threadsafe(lambda: done.set_result(function()))
        return done.result(PATIENCE)


@contextmanager
def serving(
    open_: Backend | Callable[[], Backend], settings: Settings | None = None, *, until_ready: bool = True
) -> Iterator[Serving]:
    """A server of this backend, or of what the function opens at the start and at each reload; ready when given."""
    listener = listen("127.0.0.1", 0)
    settings = settings or Settings()
    begun, ready, ended = threading.Event(), threading.Event(), Future[int]()
    source = Source((lambda: open_) if isinstance(open_, Backend) else open_, lambda _: ready.set())
    life = Life(source, Service(settings, Metrics()), listener)
    loops: list[asyncio.AbstractEventLoop] = []

    async def live() -> int:
        loops.append(asyncio.get_running_loop())
        begun.set()
        return await life.run()

    def target() -> None:
        try:
            with asyncio.Runner(loop_factory=life.loop_factory) as runner:
                ended.set_result(runner.run(live()))
        except BaseException as error:
            ended.set_exception(error)
        finally:
            ready.set()

    thread = threading.Thread(target=target, daemon=True)
    url = url_of(listener)
    thread.start()
    assert (ready if until_ready else begun).wait(PATIENCE)
    if ended.done():
        ended.result()
    made = Serving(url, life.service, life, loops[0])
    try:
        yield made
    finally:
        if not ended.done() and not life.ending:  # a second signal would end this process
            made.loop.call_soon_threadsafe(life.end)
        ended.result(PATIENCE)
        thread.join(PATIENCE)


@dataclass
class Process:
    """`wgan serve` in a process of its own."""

    process: "subprocess.Popen[str]"
    told: dict[str, Any]
    log: Path

    @property
    def url(self) -> str:
        """Where it is reached."""
        return str(self.told["url"])

    @property
    def port(self) -> int:
        """Where it listens on 127.0.0.1."""
        return int(self.url.rsplit(":", 1)[1])

    def client(self, **options: Any) -> httpx.Client:
        """A client of it."""
        return httpx.Client(base_url=self.url, timeout=PATIENCE, trust_env=False, **options)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Its exit code after a signal."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


@contextmanager
def wgan_serve(model: Path | str | None, folder: Path, *options: str) -> Iterator[Process]:
    """`wgan serve --model MODEL` on a free port, ready when it is given; its log lies in ``folder``.

    Without a model it is the newest run's.
    """
    log = folder / "serve.log"
    named = [] if model is None else ["--model", str(model)]
    words = [sys.executable, "-m", "wgan", "serve", *named, "--port", "0", "--json", *options]
    with log.open("w") as stderr:
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=stderr, text=True, env=dict(os.environ))
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        told = json.loads(line) if line else {"error": log.read_text()}
        assert "error" not in told, told["error"]
        yield Process(process, told, log)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(PATIENCE)
        assert process.stdout is not None
        process.stdout.close()
