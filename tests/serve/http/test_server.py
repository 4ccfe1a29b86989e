"""A server's life."""

from tests.fakes.generator import FakeGenerator
from tests.serve.http.serving import serving


def test_a_server_is_ready_once_its_generator_has_been_run() -> None:
    with serving(FakeGenerator()) as server, server.client() as client:
        assert client.get("/readyz").status_code == 200
        assert client.get("/v1/images/3.png").content[:4] == b"\x89PNG"
