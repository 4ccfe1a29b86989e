"""A server's life."""

import time

import pytest

from tests.fakes.generator import FakeGenerator, SlowGenerator
from tests.serve.http.serving import PATIENCE, serving
from wgan.serve.base.errors import ArtifactError


def test_a_server_is_ready_once_its_generator_has_been_run() -> None:
    generator = SlowGenerator(0)
    generator.open.clear()
    with serving(generator, until_ready=False) as server, server.client() as client:
        assert client.get("/healthz").status_code == 200
        assert generator.entered.wait(PATIENCE)  # it warms up
        for path in ("/readyz", "/v2/health/ready", "/v1/images/3.png", "/v1/model"):
            reply = client.get(path)
            assert (reply.status_code, reply.headers["retry-after"]) == (503, "1"), path
        generator.open.set()
        end = time.monotonic() + PATIENCE
        while client.get("/readyz").status_code != 200 and time.monotonic() < end:
            time.sleep(0.01)
        assert generator.batches == [1, 64]
        assert client.get("/v1/images/3.png").content[:4] == b"\x89PNG"


def test_a_generator_that_cannot_be_opened_ends_the_server() -> None:
    def refused() -> FakeGenerator:
        raise ArtifactError("it is damaged")

    with pytest.raises(ArtifactError, match="it is damaged"), serving(refused):
        pass


def test_told_to_end_while_it_loads_it_ends_and_was_never_ready() -> None:
    generator = SlowGenerator(0)
    generator.open.clear()
    with serving(generator, until_ready=False) as server:
        assert generator.entered.wait(PATIENCE)
        server.on_loop(server.life.end)
        generator.open.set()
    assert server.life.service.state == "draining"
