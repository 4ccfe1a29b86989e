"""The application: every route, behind the guard."""

from starlette.routing import Router
from starlette.types import ASGIApp

from wgan.serve.http import about, images, infer, openapi, page, scrape
from wgan.serve.http.guard import Guard
from wgan.serve.http.service import Service


def application(service: Service) -> ASGIApp:
    """The ASGI application of a server."""
    parts = (images, infer, about, scrape, openapi, page)
    routes = [route for part in parts for route in part.routes(service)]
    return Guard(Router(routes, redirect_slashes=False), service)
