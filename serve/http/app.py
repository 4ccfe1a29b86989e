"""The application: every route, behind the guard."""

from starlette.routing import Router
from starlette.types import ASGIApp

from wgan.serve.http import about, images
from wgan.serve.http.guard import Guard
from wgan.serve.http.service import Service


def application(service: Service) -> ASGIApp:
    """The ASGI application of a server."""
    routes = [route for module in (images, about) for route in module.routes(service)]
    return Guard(Router(routes, redirect_slashes=False), service)
