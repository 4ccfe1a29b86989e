"""The application: every route, behind the guard."""

from starlette.routing import Router
from starlette.types import ASGIApp

from wgan.serve.http.described import about, openapi, page, scrape
from wgan.serve.http.guard.guard import Guard
from wgan.serve.http.images import images
from wgan.serve.http.inference import infer
from wgan.serve.http.queue.service import Service


def application(service: Service) -> ASGIApp:
    """The ASGI application of a server."""
    parts = (images, infer, about, scrape, openapi, page)
    routes = [route for part in parts for route in part.routes(service)]
    return Guard(Router(routes, redirect_slashes=False), service)
