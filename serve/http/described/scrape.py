"""`/metrics`, where Prometheus reads what the server counts."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from wgan.serve.http.queue.service import READY, Service


def routes(service: Service) -> list[BaseRoute]:
    """The route."""
    service.metrics.follow(lambda: service.queued, lambda: service.state == READY)

    def metrics(request: Request) -> Response:  # on a thread: what it writes takes milliseconds
        body, media_type = service.metrics.text(request.headers.get("accept", ""))
        return Response(body, headers={"content-type": media_type, "cache-control": "no-store"})

    return [Route("/metrics", metrics, methods=["GET"])]
