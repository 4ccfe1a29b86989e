"""A server's life."""

import asyncio
import time

import numpy as np
import pytest

from tests.fakes.generator import FakeGenerator, SlowGenerator
from tests.serve.http.serving import PATIENCE, serving
from wgan.serve.base.errors import ArtifactError, BackendError


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


class Closes(FakeGenerator):
    """Knows whether it was closed."""

    closed = False

    def close(self) -> None:
        self.closed = True


class Fails(Closes):
    """Opens, and cannot be run."""

    def _infer(self, z: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        raise BackendError("it failed")


@pytest.mark.parametrize("error", [ArtifactError("it is damaged"), OSError("no such device"), MemoryError()])
def test_whatever_keeps_a_new_artifact_from_being_opened_the_old_one_stays_and_a_later_one_is_taken(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    broken, later = Fails(), FakeGenerator(digest="cd" * 32)
    opened = iter((FakeGenerator(), error, broken, later))

    def next_one() -> FakeGenerator:
        one = next(opened)
        if isinstance(one, Exception):
            raise one
        return one

    with serving(next_one) as server, server.client() as client:

        def served_after_a_look() -> str:
            asyncio.run_coroutine_threadsafe(server.life.reload(), server.loop).result(PATIENCE)
            return str(client.get("/v1/model").json()["digest"])

        assert [served_after_a_look() for _ in range(3)] == ["ab" * 32, "ab" * 32, "cd" * 32]
    assert broken.closed
    said = capsys.readouterr().err
    assert said.count("the old one stays") == 2
    assert "Traceback" not in said
