"""What the server counts, after requests that are known."""

import threading
from collections.abc import Iterator

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as prometheus

from tests.fakes.generator import FakeGenerator
from tests.serve.http.raw import Bare, bare, eventually, request
from tests.serve.http.serving import Serving, serving
from wgan.serve.http.limits.settings import Settings
from wgan.serve.http.queue.metrics import Metrics


@pytest.fixture
def server() -> Iterator[Bare]:
    with bare() as made:
        yield made


def test_requests_are_counted_by_route_and_code_and_paths_never_become_labels(server: Bare) -> None:
    with server.connect() as client:
        for seed in range(5):
            client.get(f"/seeds/{seed}")
        for number in range(7):
            client.get(f"/nowhere/{number}")
        client.get("/ok", host="evil.example")
        client.send(request("/ok", method="DELETE"))
        client.reply()
    assert server.counted("wgan_requests_total", route="/seeds/{seed}", code="200") == 5
    assert server.counted("wgan_request_seconds_count", route="/seeds/{seed}") == 5
    assert server.counted("wgan_requests_total", route="other", code="404") == 7
    assert server.counted("wgan_requests_total", route="other", code="403") == 1
    assert server.counted("wgan_requests_total", route="/ok", code="405") == 1
    assert server.counted("wgan_refusals_total", reason="host_not_allowed") == 1
    assert b"nowhere" not in server.service.metrics.text("")[0]


def test_the_duration_of_a_request_is_in_its_bucket(server: Bare) -> None:
    with server.connect() as client:
        client.get("/slow")
        client.get("/ok")
    assert server.counted("wgan_request_seconds_bucket", route="/slow", le="0.25") == 0
    assert server.counted("wgan_request_seconds_bucket", route="/slow", le="60.0") == 1
    assert 0.25 < server.counted("wgan_request_seconds_sum", route="/slow") < 60


def test_both_text_formats_are_whole_and_chosen_by_accept(server: Bare) -> None:
    with server.connect() as client:
        plain = client.get("/metrics")
        modern = client.get("/metrics", "Accept: application/openmetrics-text; version=1.0.0, text/plain;q=0.5")
    assert plain["content-type"].startswith("text/plain; version=0.0.4")
    assert modern["content-type"].startswith("application/openmetrics-text")
    names = {family.name for family in prometheus(plain.body.decode())}
    assert {"wgan_requests", "wgan_request_seconds", "process_resident_memory_bytes"} <= names
    assert names == {family.name for family in open_metrics(modern.body.decode())}


def test_metrics_need_a_token_where_one_is_asked_for() -> None:
    token = "0123456789abcdef"
    with bare(Settings(tokens=(token,))) as server, server.connect() as client:
        assert client.get("/metrics").status == 401
        assert client.get("/metrics", f"Authorization: Bearer {token}").status == 200


@pytest.fixture
def generating() -> Iterator[Serving]:
    with serving(FakeGenerator()) as made:
        yield made


def value(server: Serving, sample: str, **labels: str) -> float:
    return server.service.metrics.registry.get_sample_value(sample, labels) or 0.0


def test_images_batches_and_the_generator_are_counted(generating: Serving) -> None:
    with generating.client() as client:
        for seed in range(6):
            assert client.get(f"/v1/images/{seed}.png").status_code == 200
        eventually(lambda: value(generating, "wgan_images_total") == 6)
        for name in ("batch_images", "queue_seconds", "inference_seconds", "encoding_seconds"):
            eventually(lambda name=name: value(generating, f"wgan_{name}_count") == 6)  # type: ignore[misc]
        assert value(generating, "wgan_batch_images_bucket", le="1.0") == 6
        assert value(generating, "wgan_queue_images") == 0
        assert value(generating, "wgan_ready") == 1
        backend = generating.service.model.backend
        labels = {"name": "fake", "digest": backend.digest, "format": "onnx", "precision": "fp32"}
        assert value(generating, "wgan_model_info", **labels, backend="fake", device="cpu") == 1


def test_another_generator_replaces_the_first_in_the_metrics() -> None:
    class Model:
        def __init__(self, digest: str):
            self.name, self.backend = "faces", FakeGenerator(digest=digest)

    metrics = Metrics()
    for digest in ("ab" * 32, "cd" * 32):
        metrics.model(Model(digest))  # type: ignore[arg-type]
    text = metrics.text("")[0].decode()
    assert "cd" * 32 in text
    assert "ab" * 32 not in text


def test_no_observation_of_many_threads_is_lost() -> None:
    metrics = Metrics()

    def work() -> None:
        for _ in range(1000):
            metrics.request("/ok", 200, 0.01)
            metrics.batch(3, [0.001, 0.002], 0.01, 0.001)
            metrics.refused("queue_full")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sample = metrics.registry.get_sample_value
    assert sample("wgan_requests_total", {"route": "/ok", "code": "200"}) == 8000
    assert sample("wgan_images_total") == 24_000
    assert sample("wgan_queue_seconds_count") == 16_000
    assert sample("wgan_refusals_total", {"reason": "queue_full"}) == 8000
