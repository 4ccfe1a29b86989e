"""What a server says of itself, and what it keeps to itself."""

import json
from pathlib import Path

from tests.fakes.generator import FakeGenerator
from tests.serve.http.serving import serving
from wgan.serve.backends.open import open_backend
from wgan.serve.http.queue.service import DRAINING, STARTING


def test_the_model_is_told_with_what_was_measured_of_it_and_no_path(tiny_export: Path) -> None:
    backend = open_backend(tiny_export / "generator.onnx", device="cpu")
    with serving(backend) as server, server.client() as client:
        told = client.get("/v1/model")
    about = told.json()
    assert (about["name"], about["digest"], about["format"]) == ("generator", backend.digest, "onnx")
    assert about["latent"] == {"dim": 16, "distribution": "normal"}
    assert about["image"] == {"height": 32, "width": 32, "channels": 3, "dtype": "float32"}
    assert about["classes"] is None
    assert about["origin"] == {"step": 7}
    assert about["parity"]["passed"] is True
    assert 0 <= about["parity"]["max_abs"] <= 1e-4
    assert (about["backend"], about["device"]) == ("onnx", "cpu")
    assert about["versions"].keys() >= {"python", "numpy", "pillow"}
    assert about["limits"] == {"n": 256, "streamed": 10_000}
    assert str(tiny_export.parent) not in told.text
    assert "config" not in told.text


def test_names_of_classes_are_told_whatever_they_are() -> None:
    classes = ("\ud800", "größe", "a\nb")
    with serving(FakeGenerator(classes)) as server, server.client() as client:
        assert tuple(json.loads(client.get("/v1/model").content)["classes"]) == classes
        reply = client.get("/v1/images/3.png?label=c")
        assert reply.status_code == 400
        assert "größe" in reply.json()["error"]
        assert "\n" not in reply.json()["error"]


def test_a_server_lives_before_it_is_ready_and_while_it_drains() -> None:
    with serving(FakeGenerator()) as server, server.client() as client:
        assert client.get("/readyz").json() == {"status": "ready"}
        for state in (STARTING, DRAINING):
            server.service.state = state
            assert client.get("/healthz").json() == {"status": "alive"}
            reply = client.get("/readyz")
            assert (reply.status_code, reply.json()["code"]) == (503, state)
            assert "retry-after" in reply.headers
        assert client.head("/healthz").status_code == 200


def test_what_is_assumed_of_anothers_file_does_not_say_where_it_lies() -> None:
    generator = FakeGenerator()
    generator.path = Path("/srv/secret/theirs.onnx")
    generator.assumes = f"{generator.path} was not exported by wgan: assuming normal latents"
    with serving(generator) as server, server.client() as client:
        assert (
            client.get("/v1/model").json()["assumes"] == "theirs.onnx was not exported by wgan: assuming normal latents"
        )
