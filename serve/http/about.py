"""What the server says of itself: whether it lives and is ready, and what it serves."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from wgan.serve.http.service import READY, Service


def routes(service: Service) -> list[BaseRoute]:
    """The routes."""

    async def healthz(_: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def readyz(_: Request) -> Response:
        return JSONResponse({"status": service.state}, 200 if service.state == READY else 503)

    return [Route("/healthz", healthz), Route("/readyz", readyz)]
