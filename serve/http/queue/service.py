"""What the routes have in common: the generator that is served now, and how a request waits for its images."""

import math
import time
from collections import deque
from collections.abc import AsyncGenerator, Iterable
from typing import Any

from starlette.requests import Request
from starlette.types import Scope

from wgan.serve.http.limits.refusals import Gone, Refusal
from wgan.serve.http.limits.settings import Settings
from wgan.serve.http.queue.batcher import Finish, Job
from wgan.serve.http.queue.metrics import Metrics
from wgan.serve.http.queue.model import Model
from wgan.serve.http.queue.wanted import Wanted

STARTING, READY, DRAINING = "starting", "ready", "draining"
LEFT = "wgan.left"  # in a request's scope: True where its client has left, else what to call when it does
IMAGES = "wgan.images"  # in a request's scope: how many it has asked for, for the access log
AHEAD = 4  # parts of a streamed reply that are made before the client has taken the one before them


class Service:
    """A server's state. ``model`` may be replaced at any time: a request takes it once."""

    def __init__(self, settings: Settings, metrics: Metrics):
        self.settings, self.metrics = settings, metrics
        self.state = STARTING
        self._model: Model | None = None

    @property
    def model(self) -> Model:
        """The generator that is served. Raises Refusal before there is one."""
        if self._model is None:
            raise Refusal(503, "starting", "the server is starting: ask again", {"retry-after": "1"})
        return self._model

    @property
    def queued(self) -> int:
        """Images that wait to be made."""
        return self._model.batcher.queued if self._model else 0

    def serve(self, model: Model) -> Model | None:
        """Serves this one from now on; returns the one before it."""
        before, self._model = self._model, model
        self.metrics.model(model)
        return before

    def abandon(self) -> None:
        """Refuses all that is under way."""
        if self._model is not None:
            self._model.batcher.abandon()

    async def make(
        self, request: Request, model: Model, wanted: Wanted, finish: Finish, timeout: float = math.inf
    ) -> Any:
        """What ``finish`` made of the images, within ``timeout`` seconds and within X-Request-Timeout.

        Raises:
            Refusal: too many wait, the request's time is over, or the generator failed.
            Gone: the client has left; its images are not made.
        """
        request.scope[IMAGES] = request.scope.get(IMAGES, 0) + wanted.count
        with model.in_use():
            deadline = time.monotonic() + min(timeout, self.timeout(request))
            job = model.batcher.put(wanted, finish, deadline, self.settings.patience)
            return await _unless_gone(job, request.scope)

    async def make_each(
        self, request: Request, model: Model, parts: Iterable[tuple[Wanted, Finish]]
    ) -> AsyncGenerator[Any, None]:
        """`make` for each part in turn, a few ahead of the one that is taken: memory does not grow with their number.

        The first part is refused as any request is. Those after it wait for room as long as their time lasts, each
        with a time of its own: a reply that has begun cannot be refused.
        """
        timeout = self.timeout(request)
        jobs: deque[Job] = deque()
        patience = self.settings.patience
        with model.in_use():
            try:
                for wanted, finish in parts:
                    request.scope[IMAGES] = request.scope.get(IMAGES, 0) + wanted.count
                    deadline = time.monotonic() + timeout
                    jobs.append(model.batcher.put(wanted, finish, deadline, patience))
                    patience = timeout
                    if len(jobs) >= AHEAD:
                        yield await jobs.popleft().future
                while jobs:
                    yield await jobs.popleft().future
            finally:
                for job in jobs:
                    job.future.cancel()

    def timeout(self, request: Request) -> float:
        """Seconds that this request may take. Raises Refusal for a bad X-Request-Timeout."""
        asked, most = request.headers.get("x-request-timeout"), self.settings.max_request_timeout
        if asked is None:
            return self.settings.request_timeout
        try:
            seconds = float(asked) if asked.replace(".", "", 1).isdecimal() and asked.isascii() else 0.0
        except ValueError:
            seconds = 0.0
        if not 0 < seconds <= most:
            raise Refusal.bad(f"X-Request-Timeout must be seconds, more than 0 and at most {most:g}")
        return seconds


async def _unless_gone(job: Job, scope: Scope) -> Any:
    """The job's answer; where the client leaves first, the job is taken out of the queue.

    The protocol tells. A task that waits for `http.disconnect` would take a sixth of a request's time.
    """
    if scope.get(LEFT) is True:
        job.fail(Gone())
    scope[LEFT] = lambda: job.fail(Gone())
    try:
        return await job.future
    finally:
        job.future.cancel()  # where the handler itself is cancelled
