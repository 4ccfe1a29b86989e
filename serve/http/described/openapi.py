"""`/openapi.json`: OpenAPI 3.1, made of the tables and limits that requests are read by, and of the routes."""

import json
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from wgan.serve.http.described.operations import TEXT, V1, Operation, parts, record
from wgan.serve.http.described.operations_v2 import V2
from wgan.serve.http.images.asked import TYPE
from wgan.serve.http.images.fields import Schema
from wgan.serve.http.limits.settings import Settings
from wgan.serve.http.queue.model import Model
from wgan.serve.http.queue.service import Service
from wgan.serve.machine.requirements import installed

OPERATIONS = {(operation.path, operation.method): operation for operation in (*V1, *V2)}
REASONS = {
    304: "the client has it already",
    400: "the request cannot be read; the error names the field",
    401: "no token, or none of this server's",
    403: "refused, whoever asks",
    404: "there is no such thing here",
    413: "the body is too large",
    415: "the body is of another type",
    429: "the queue is full; Retry-After says when to ask again",
    500: "the generator failed",
    503: "the server is starting, shutting down or out of memory",
    504: "the images were not made in time",
}
ERROR: Schema = {"$ref": "#/components/schemas/Error"}
REQUEST_ID = {"X-Request-Id": {"description": "of this request, in the server's log too", "schema": TEXT}}
BEARER = {"bearer": {"type": "http", "scheme": "bearer"}}


def routes(service: Service) -> list[BaseRoute]:
    """The route."""
    return [Route("/openapi.json", partial(_openapi, service))]


async def _openapi(service: Service, request: Request) -> Response:
    model = service.model
    text = json.dumps(document(request.scope["router"].routes, model, service.settings))
    headers = {"cache-control": "no-cache", "x-wgan-model": model.backend.digest}
    return Response(text.encode(), headers=headers, media_type=TYPE)


def listed(routes: list[BaseRoute]) -> list[tuple[str, str]]:
    """(path, method in small letters) of each route; HEAD goes with GET."""
    return [
        (route.path, method.lower())
        for route in routes
        if isinstance(route, Route)
        for method in sorted(route.methods or ())
        if method != "HEAD"
    ]


def document(routes: list[BaseRoute], model: Model, settings: Settings) -> dict[str, Any]:
    """What a server of these routes, this generator and these limits takes and gives."""
    paths: dict[str, dict[str, Any]] = {}
    for path, method in listed(routes):
        operation = OPERATIONS.get((path, method))
        if operation is not None:
            paths.setdefault(path, {})[method] = _described(operation, model, settings)
    error = {"error": TEXT, "code": {"type": "string", "pattern": "^[a-z0-9_]+$"}, "request_id": TEXT}
    schemas = {"Error": record(error)} | parts(model.backend.metadata)
    responses = {_named(status): _error(status) for status in (*REASONS, None)}
    components = {"schemas": schemas, "responses": responses}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "wgan",
            "version": installed("wgan") or "0",
            "description": f"Images of the generator {model.name}; one URL of one artifact has the same bytes",
        },
        "paths": paths,
        "components": components | ({"securitySchemes": BEARER} if settings.tokens else {}),
        "security": [{"bearer": []}] if settings.tokens else [],
    }


def _described(operation: Operation, model: Model, settings: Settings) -> dict[str, Any]:
    made = operation.made(model, settings)
    responses: dict[str, Any] = {"200": made.pop("200")} if "200" in made else {}
    asks = [] if operation.free or not settings.tokens else [401]
    for status in (*sorted({400, *asks, *operation.statuses}), None):
        responses[str(status or "default")] = {"$ref": f"#/components/responses/{_named(status)}"}
    open_to_all: dict[str, Any] = {"security": []} if operation.free else {}
    return {"operationId": operation.id, "summary": operation.about, **made, "responses": responses, **open_to_all}


def _named(status: int | None) -> str:
    return f"status_{status or 'default'}"


def _error(status: int | None) -> dict[str, Any]:
    reason = REASONS[status] if status is not None else "any other error"
    if status == 304:
        return {"description": reason}
    headers = REQUEST_ID | ({"Retry-After": {"schema": TEXT}} if status in (429, 503) else {})
    return {"description": reason, "headers": headers, "content": {TYPE: {"schema": ERROR}}}
