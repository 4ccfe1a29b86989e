"""An object store of a round: moto's server behind a proxy that breaks requests, goes away, and comes back.

Where the server is killed, another begins with the objects that it had: only its requests die with it.
"""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.process import BaseProcess
from random import Random
from urllib.parse import urlsplit

from faulty_proxy import Faulty
from object_store import Bucket, MotoServer, environment

from wgan.serve.storage import asking

OUTAGE, SERVER = "store out of reach", "store killed"
AT_REQUEST = "SIGKILL at a request"
PATIENCE = 3.0  # seconds for which a command asks again: with the usual three minutes a round would take as long
_QUIET = 0.15  # seconds in which requests that are under way come to their end


def impatient() -> None:
    """In a process of a round: storage is asked again at once, and given up early."""
    asking.PATIENCE, asking.PAUSES = PATIENCE, (0.01, 0.1)


class Watched(Faulty):
    """A proxy that calls ``at_request`` with the number of each request since it was set."""

    at_request: Callable[[int], None] | None = None
    first = 0

    def choose(self, method: str, path: str) -> str:
        """As `Faulty`."""
        fault = super().choose(method, path)
        if self.at_request is not None:
            self.at_request(len(self.requests) - self.first)  # and it goes on to the server, without its sender
        return fault


class Storage:
    """One server, one proxy, and a bucket for each round."""

    def __init__(self) -> None:
        self.server = MotoServer()
        self.proxy = Watched(self.server.url)
        self._buckets: list[str] = []

    @property
    def environment(self) -> dict[str, str]:
        """What a command needs to come here."""
        return environment(self.proxy.url)

    def bucket(self, name: str) -> Bucket:
        """A new bucket; the one before is not kept where the server is killed."""
        self._buckets = [name]
        return self.server.bucket(name)

    def objects(self, name: str, prefix: str) -> dict[str, bytes]:
        """What lies below a prefix, by the rest of the key; asked past the proxy."""
        bucket = Bucket(self.server.url, name)
        return {key.removeprefix(prefix): bucket.get(key) for key in bucket.keys(prefix)}

    def well(self) -> None:
        """From now on no request is broken."""
        self.proxy.rate, self.proxy.down, self.proxy.at_request = 0.0, False, None

    def kill_server(self) -> None:
        """SIGKILL; another server goes on with its objects. Nothing is answered until then."""
        self.proxy.down = True
        time.sleep(_QUIET)
        kept = {name: self.objects(name, "") for name in self._buckets}
        self.server.close()
        self.server = MotoServer()
        for name, objects in kept.items():
            bucket = self.server.bucket(name)
            for key, content in objects.items():
                bucket.put(key, content)
        self.proxy.target = urlsplit(self.server.url)
        self.proxy.down = False

    def close(self) -> None:
        """Ends both."""
        self.proxy.close()
        self.server.close()


def _killing(pid: int | None, request: int) -> Callable[[int], None]:
    """Takes the numbers of requests; at this one the process is killed."""

    def strike(number: int) -> None:
        if number == request and pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    return strike


class Weather:
    """What befalls the store while commands run: a share of requests broken, an outage, the end of the server."""

    def __init__(self, storage: Storage, random: Random, seconds: float):
        self.storage, self.kills = storage, Counter[str]()
        self.troubled = False
        self._began, self._random = time.monotonic(), random
        storage.well()
        storage.proxy.rate = random.choice((0.0, 0.1, 0.3))
        self.troubled = storage.proxy.rate > 0
        self._before = storage.proxy.counts
        self._event = random.choice((None, None, OUTAGE, OUTAGE, SERVER))
        self._at, self._until = random.uniform(0, seconds), 0.0
        self._victim: tuple[int, int] | None = None

    def kill_at(self, number: int, which: int) -> None:
        """SIGKILL for one of the commands as soon as the request of this number has come."""
        self._victim = number, which
        self.storage.proxy.first = len(self.storage.proxy.requests)

    def __call__(self, processes: Sequence[BaseProcess]) -> None:
        """Called again and again while they run."""
        proxy = self.storage.proxy
        if self._victim is not None:
            proxy.at_request = _killing(processes[self._victim[1]].pid, self._victim[0])
            self._victim = None
        now = time.monotonic() - self._began
        if self._event == SERVER and now > self._at:
            self._happened(SERVER)
            self.storage.kill_server()
        elif self._event == OUTAGE and now > self._at:
            self._happened(OUTAGE)
            proxy.down, self._until = True, now + self._random.choice((0.2, 1.0, 2 * PATIENCE))
        if self._until and now > self._until:
            proxy.down, self._until = False, 0.0

    def _happened(self, event: str) -> None:
        self.kills[event] += 1
        self._event, self.troubled = None, True

    def end(self) -> Counter[str]:
        """What was met; the store is well again."""
        self.storage.well()
        return self.kills

    @property
    def broken(self) -> int:
        """How many requests were broken."""
        counts = self.storage.proxy.counts
        return counts.total() - counts[""] - (self._before.total() - self._before[""])
