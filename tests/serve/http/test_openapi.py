"""The OpenAPI document is what the server does: requests that are made from it are answered as it says."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.fakes.generator import FakeGenerator
from tests.serve.http.serving import Serving, serving
from wgan.serve.http.app import application
from wgan.serve.http.openapi import OPERATIONS

TOKEN = "0123456789abcdef0123"
CLASSES = ("black", "grün")


@pytest.fixture(scope="module")
def server() -> Iterator[Serving]:
    with serving(FakeGenerator(CLASSES)) as made:
        yield made


def document(server: Serving, **headers: str) -> dict[str, Any]:
    with server.client(headers=headers) as client:
        return client.get("/openapi.json").json()  # type: ignore[no-any-return]


def test_every_route_is_in_the_document_and_every_operation_of_it_is_a_route(server: Serving) -> None:
    router = application(server.service)._app  # type: ignore[attr-defined]
    there = {(route.path, method.lower()) for route in router.routes for method in route.methods if method != "HEAD"}
    described = {(path, method) for path, methods in document(server)["paths"].items() for method in methods}
    assert described == there
    assert described == OPERATIONS.keys()
