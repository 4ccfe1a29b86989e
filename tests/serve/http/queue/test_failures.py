"""A generator that fails costs the requests of its batch, and nothing else."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.fakes.generator import FakeGenerator
from tests.serve.http.serving import serving
from wgan.serve.base.errors import BackendError, BackendOutOfMemory
from wgan.serve.http.limits.settings import Settings

SECRET = "a secret in /home/somebody/model.onnx"


class Failing(FakeGenerator):
    """Fails while it has an error, once it is ``open``; ``name`` as `SlowGenerator` has it."""

    def __init__(self, name: str):
        super().__init__()
        self.name, self.concurrent = name, name == "onnx"
        self.error: BaseException | None = None
        self.entered, self.open = threading.Event(), threading.Event()

    def _infer(self, z: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        if (error := self.error) is not None:
            self.entered.set()
            assert self.open.wait(60)
            raise error
        return super()._infer(z, labels)


FAULTS = [
    (BackendError(SECRET), 500, "failed"),
    (ValueError(SECRET), 500, "failed"),
    (BackendOutOfMemory(SECRET), 503, "out_of_memory"),
    (MemoryError(SECRET), 503, "out_of_memory"),
]


@pytest.mark.parametrize("name", ["onnx", "fake"])
@pytest.mark.parametrize(("error", "status", "code"), FAULTS, ids=lambda value: type(value).__name__)
def test_a_batch_that_fails_costs_itself_alone(
    name: str, error: Exception, status: int, code: str, capfd: pytest.CaptureFixture[str]
) -> None:
    backend = Failing(name)
    with serving(backend, Settings(workers=1, batch_size=8)) as server, server.client() as client:
        before = client.get("/v1/images/1.png").content
        backend.error = error
        with ThreadPoolExecutor(8) as pool:
            replies = [pool.submit(client.get, f"/v1/images/{seed}.png") for seed in range(8)]
            assert backend.entered.wait(60)
            backend.open.set()
            failed = [reply.result() for reply in replies]
        for reply in failed:
            assert reply.status_code == status
            told = reply.json()
            assert told["code"] == code
            assert told["request_id"] == reply.headers["x-request-id"]
            assert "secret" not in reply.text
            assert "Traceback" not in reply.text
        backend.error = None
        assert client.get("/v1/images/1.png").content == before
        assert client.get("/readyz").status_code == 200
        counted = server.service.metrics.registry.get_sample_value
        assert (counted("wgan_refusals_total", {"reason": code}) or 0) >= 1
    if code == "failed":
        assert SECRET in capfd.readouterr().err


def test_what_is_asked_beside_a_batch_that_will_fail_is_served() -> None:
    backend = Failing("onnx")
    with serving(backend, Settings(workers=2, batch_size=8)) as server, server.client() as client:
        backend.error = BackendOutOfMemory(SECRET)
        with ThreadPoolExecutor(1) as pool:
            failing = pool.submit(client.get, "/v1/images/1.png")
            assert backend.entered.wait(60)
            backend.error = None
            assert client.get("/v1/images/2.png").status_code == 200
            assert not failing.done()
            backend.open.set()
            assert failing.result().status_code == 503
