"""What the server says of itself: whether it lives and is ready, and what it serves."""

import json
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from wgan.serve.artifacts.artifact import published
from wgan.serve.artifacts.metadata import FIGURES
from wgan.serve.base.terminal import plain
from wgan.serve.http.limits.refusals import Refusal
from wgan.serve.http.limits.settings import Settings
from wgan.serve.http.queue.model import Model
from wgan.serve.http.queue.service import DRAINING, READY, Service
from wgan.serve.http.queue.versions import versions

NOT_READY = {DRAINING: "the server is shutting down: ask another one"}  # any other state is its start


def routes(service: Service) -> list[BaseRoute]:
    """The routes."""
    return [
        Route("/healthz", _healthz),
        Route("/readyz", partial(_readyz, service)),
        Route("/v1/model", partial(_model, service)),
    ]


def json_reply(value: Any) -> Response:
    """A reply that is made anew each time. What a name may hold, half characters too, is written in ASCII."""
    return Response(json.dumps(value).encode(), headers={"cache-control": "no-store"}, media_type="application/json")


async def _healthz(_: Request) -> Response:
    return json_reply({"status": "alive"})


async def _readyz(service: Service, _: Request) -> Response:
    if service.state != READY:
        why = NOT_READY.get(service.state, "the server is starting: ask again")
        raise Refusal(503, service.state, why, {"retry-after": "1"})
    return json_reply({"status": "ready"})


async def _model(service: Service, _: Request) -> Response:
    return json_reply(described(service.model, service.settings))


def described(model: Model, settings: Settings) -> dict[str, Any]:
    """What is served, as far as anybody may know it: no path."""
    backend = model.backend
    return {
        "name": model.name,
        "digest": backend.digest,
        **published(backend.metadata),
        "parity": _parity(model),
        "assumes": None
        if backend.assumes is None
        else plain(backend.assumes.replace(str(backend.path), backend.path.name)),
        "backend": backend.name,
        "device": backend.device,
        "provider": backend.provider,
        "versions": versions(backend.name),
        "limits": {"n": settings.max_n, "streamed": settings.max_streamed},
    }


def _parity(model: Model) -> dict[str, Any] | None:
    """What was measured against PyTorch; None where nothing was."""
    report = model.backend.metadata.parity
    if report is None:
        return None
    return {name: report[name] for name in ("passed", "finite", "device", "gates", *FIGURES) if name in report}
