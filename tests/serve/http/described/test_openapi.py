"""The OpenAPI document is what the server does: requests that are made from it are answered as it says."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import Status, events, from_schema

from tests.fakes.generator import FakeGenerator
from tests.serve.http.serving import Serving, serving
from wgan.serve.http.app import application
from wgan.serve.http.described.openapi import OPERATIONS
from wgan.serve.http.limits.settings import Settings

CLASSES = ("black", "grün")
TOKEN = "0123456789abcdef0123"
# what is not described by a schema cannot be told from what is wrong: the shapes and data of an infer request
CONFIG = """
seed = 1
[generation]
max-examples = 8
no-shrink = true
deterministic = true
database = "none"
[phases.stateful]
enabled = false
[[operations]]
include-path-regex = "/infer$"
checks.positive_data_acceptance.enabled = false
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Serving]:
    with serving(FakeGenerator(CLASSES)) as made:
        yield made


def document(server: Serving, **headers: str) -> dict[str, Any]:
    with server.client(headers=headers) as client:
        return client.get("/openapi.json").json()  # type: ignore[no-any-return]


def operations(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(path, method): each for path, methods in document["paths"].items() for method, each in methods.items()}


def test_every_route_is_in_the_document_and_every_operation_of_it_is_a_route(server: Serving) -> None:
    routes = application(server.service)._app.routes  # type: ignore[attr-defined]
    there = {(route.path, method.lower()) for route in routes for method in route.methods if method != "HEAD"}
    assert operations(document(server)).keys() == there
    assert OPERATIONS.keys() == there
    assert len({each["operationId"] for each in operations(document(server)).values()}) == len(there)


def test_the_document_has_the_limits_and_the_classes_of_this_server() -> None:
    with serving(FakeGenerator(), Settings(max_n=7, max_streamed=9)) as server:
        bare = document(server)
    assert "label" not in bare["components"]["schemas"]
    counts = [way["properties"]["n"] for way in ways(bare) if "n" in way["properties"]]
    assert [each["maximum"] for each in counts] == [1, 7, 9]
    with serving(FakeGenerator(CLASSES)) as server:
        assert document(server)["components"]["schemas"]["label"]["enum"] == list(CLASSES)


def ways(document: dict[str, Any]) -> list[dict[str, Any]]:
    content = document["paths"]["/v1/images"]["post"]["requestBody"]["content"]
    return content["application/json"]["schema"]["anyOf"]  # type: ignore[no-any-return]


def test_what_the_document_calls_free_needs_no_token_and_all_else_does() -> None:
    with serving(FakeGenerator(CLASSES), Settings(tokens=(TOKEN,))) as server, server.client() as client:
        told = document(server, authorization=f"Bearer {TOKEN}")
        assert told["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
        for (path, method), operation in operations(told).items():
            reply = client.request(method, path.replace("{name}", "fake").replace("{version}", "1"))
            free = operation.get("security", told["security"]) == []
            assert (reply.status_code != 401) == free, path
            assert ("401" in operation["responses"]) != free, path


def expressible(case: Any) -> bool:
    """Whether the document could say that this is refused, if it is: no schema tells 1.0 from 1, or adds two fields."""
    query, body = case.query or {}, case.body
    if not case.meta.generation.mode.is_positive:
        return True
    if "truncation_kind" in query and "truncation" not in query:
        return False
    if isinstance(body, dict) and case.operation.path == "/v1/images":
        seeds = [str(seed) for seed in body.get("seeds", ())]
        if "n" in body and int(body.get("seed", 0)) + body["n"] > 2**63:
            return False
        if len(set(seeds)) < len(seeds) and body.get("format") == "tar":
            return False
    return not whole_floats(body)


def unhurried(_: Any, case: Any) -> Any:
    """The case without a time that the document allows, and that is too short for any image."""
    if case.meta.generation.mode.is_positive and case.headers is not None:
        case.headers.pop("X-Request-Timeout", None)
    return case


def whole_floats(value: Any) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return (isinstance(value, float) and value.is_integer()) or any(map(whole_floats, inner))


@pytest.mark.slow
def test_requests_made_from_the_document_are_answered_as_it_says(server: Serving) -> None:
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json", config=SchemathesisConfig.from_str(CONFIG))
    schema.hook("map_case")(unhurried)
    schema.hook("filter_case")(lambda _, case: expressible(case))
    tried: Counter[str] = Counter()
    statuses: Counter[int] = Counter()
    for event in from_schema(schema).execute():
        assert not isinstance(event, events.FatalError | events.NonFatalError), event
        if isinstance(event, events.ScenarioFinished):
            for number, checks in event.recorder.checks.items():
                reply = event.recorder.interactions[number].response
                statuses[0 if reply is None else reply.status_code] += 1
                tried[event.recorder.label] += 1
                for check in checks:
                    assert check.status == Status.SUCCESS, (event.recorder.cases[number].value, check.failure_info)
    described = {f"{method.upper()} {path}" for path, method in operations(document(server))}
    assert tried.keys() == described - {"GET /openapi.json"}  # which it reads itself
    assert {200, 400, 404, 405} <= statuses.keys()
    assert 500 not in statuses
