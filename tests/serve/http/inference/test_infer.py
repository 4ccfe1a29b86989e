"""The Open Inference Protocol: its own client is the test, and every answer is the backend's, bit for bit."""

import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
from PIL import Image
from tritonclient.utils import InferenceServerException

from tests import ROOT
from tests.fakes.generator import FakeGenerator
from tests.serve.http.protocol_client import CHECKS, Peer, tensor
from tests.serve.http.serving import Serving, serving, wgan_serve
from wgan.cli import main
from wgan.models import open_model
from wgan.serve.artifacts.find import built_in
from wgan.serve.http.inference import inference
from wgan.serve.http.queue.service import DRAINING, READY, STARTING
from wgan.serve.latents.table import latents
from wgan.serve.latents.truncation import Truncation
from wgan.serve.outputs.pixels import as_pixels
from wgan.version import version

CLASSES = ("cat", "dog", "owl")
FORM = "application/x-www-form-urlencoded"  # what curl says of any text


class Labelled(FakeGenerator):
    """Images also tell their class. Latents far from any of the table make none."""

    name = "labelled"

    def __init__(self, dtype: str = "float32"):
        super().__init__(CLASSES)
        self.metadata = self.metadata.replace(image=self.metadata.image.with_output(dtype))

    def _infer(self, z: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        assert labels is not None
        images = super()._infer(z, labels)
        images[:, 0, 0, 0] = labels / 8
        images[np.abs(z).max(axis=1) > 1e6] = np.nan
        return images if self.metadata.image.dtype == "float32" else as_pixels(images)


@pytest.fixture(scope="module", params=["float32", "uint8", "without classes"])
def server(request: pytest.FixtureRequest) -> Iterator[Serving]:
    backend = FakeGenerator() if request.param == "without classes" else Labelled(request.param)
    with serving(backend) as made:
        yield made


@pytest.fixture(scope="module")
def labelled() -> Iterator[Serving]:
    with serving(Labelled()) as made:
        yield made


@pytest.fixture
def http(labelled: Serving) -> Iterator[httpx.Client]:
    with labelled.client() as client:
        yield client


def peer_of(server: Serving) -> Peer:
    return Peer(f"127.0.0.1:{server.port}", "fake", server.service.model.backend)


def post(client: httpx.Client, **values: Any) -> httpx.Response:
    return client.post("/v2/models/fake/infer", json=values)


def seeds_of(*seeds: int) -> dict[str, Any]:
    return {"name": "seed", "datatype": "INT64", "shape": [len(seeds)], "data": list(seeds)}


def labels_of(*labels: int) -> dict[str, Any]:
    return {"name": "label", "datatype": "INT64", "shape": [len(labels)], "data": list(labels)}


def images_of(backend: FakeGenerator, seeds: list[int], labels: list[int] | None = None) -> np.ndarray:
    z = np.concatenate([latents(seed, 1, backend.metadata.latent.dim) for seed in seeds])
    classes = backend.metadata.classes
    if classes is None:
        return backend.run(z)
    return backend.run(z, np.array(labels or [seed % len(classes) for seed in seeds]))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_tritonclient_works_unchanged(server: Serving, check: Callable[[Peer], None]):
    check(peer_of(server))


SEEDS = [2**63 - 1, 0, 7, 7, 2**53 + 1]


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
@pytest.mark.parametrize("shape", [(5,), (5, 1)])
def test_seeds_make_the_images_of_their_rows(server: Serving, binary: bool, dtype: type, shape: tuple[int, ...]):
    peer = peer_of(server)
    with peer.client() as client:
        result = client.infer("fake", [tensor("seed", np.array(SEEDS, dtype).reshape(shape), binary)])
    np.testing.assert_array_equal(result.as_numpy("image"), images_of(peer.backend, SEEDS), strict=True)


def test_a_label_is_for_its_row(labelled: Serving):
    peer = peer_of(labelled)
    given = [tensor("label", np.array([2, 0])), tensor("seed", np.array([5, 6]))]
    with peer.client() as client:
        result = client.infer("fake", given)
    np.testing.assert_array_equal(result.as_numpy("image"), images_of(peer.backend, [5, 6], [2, 0]), strict=True)


def test_only_what_is_asked_for_is_made_and_in_its_order(server: Serving, monkeypatch: pytest.MonkeyPatch):
    peer = peer_of(server)
    wanted = as_pixels(images_of(peer.backend, [3, 4]))
    asked = [triton.InferRequestedOutput("png"), triton.InferRequestedOutput("pixels", binary_data=False)]
    with peer.client() as client:
        result = client.infer("fake", [tensor("seed", np.array([3, 4]))], outputs=asked)
    assert [each["name"] for each in result.get_response()["outputs"]] == ["png", "pixels"]
    np.testing.assert_array_equal(result.as_numpy("pixels"), wanted, strict=True)
    for file, pixels in zip(result.as_numpy("png"), wanted, strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(file))), pixels)

    def never(*_: Any) -> Any:
        raise AssertionError

    monkeypatch.setattr(inference, "png_of", never)
    monkeypatch.setattr(inference, "as_pixels", never)
    with peer.client() as client:
        image = client.infer("fake", [tensor("seed", np.array([3]))]).as_numpy("image")
    np.testing.assert_array_equal(image, images_of(peer.backend, [3]))


def test_a_seed_has_the_same_bytes_alone_among_others_and_by_every_road(server: Serving):
    seeds = np.random.default_rng(1).permutation(256) * 2**40 + 1
    pixels, png = triton.InferRequestedOutput("pixels"), triton.InferRequestedOutput("png")
    with peer_of(server).client() as client, server.client() as http:
        among = client.infer("fake", [tensor("seed", seeds)], outputs=[pixels, png])
        raw = http.post("/v1/images", json={"seeds": seeds.tolist(), "format": "raw"})
        assert raw.content == among.as_numpy("pixels").tobytes()
        for at in (0, 77, 255):
            alone = client.infer("fake", [tensor("seed", seeds[at : at + 1])], outputs=[pixels, png])
            np.testing.assert_array_equal(alone.as_numpy("pixels")[0], among.as_numpy("pixels")[at])
            file = http.get(f"/v1/images/{seeds[at]}.png").content
            assert file == alone.as_numpy("png")[0] == among.as_numpy("png")[at]


def test_a_png_says_how_its_latent_was_made(http: httpx.Client):
    def text_of(**values: Any) -> Any:
        outputs = [{"name": "png", "parameters": {"binary_data": True}}]
        reply = post(http, outputs=outputs, **values)
        start = int(reply.headers["inference-header-content-length"]) + 4
        return Image.open(io.BytesIO(reply.content[start:])).info

    scaled = {"truncation": 0.5, "truncation_kind": "scaled"}
    assert text_of(inputs=[seeds_of(4), labels_of(2)], parameters=scaled) == {
        "model": "ab" * 32,
        "backend": "labelled on cpu",
        "precision": "fp32",
        "truncation": "scaled 0.5",
        "seed": "4",
        "label": "2",
    }
    z = {"name": "z", "datatype": "FP32", "shape": [1, 192], "data": [0.5] * 192}
    said = text_of(inputs=[z, labels_of(1)])
    assert (said["row"], said["label"], len(said["latents"])) == ("0", "1", 64)
    assert "seed" not in said


@pytest.mark.parametrize(("kind", "threshold"), [(None, 0.7), ("truncated", 10), ("scaled", 0.001)])
def test_truncation_is_of_the_latents(labelled: Serving, http: httpx.Client, kind: str | None, threshold: float):
    parameters = {"truncation": threshold} | ({} if kind is None else {"truncation_kind": kind})
    reply = post(http, inputs=[seeds_of(3, 4)], parameters=parameters)
    z = Truncation(threshold, kind or "truncated")(latents(3, 2, 192))
    wanted = labelled.service.model.backend.run(z, np.array([0, 1]))
    (output,) = reply.json()["outputs"]
    np.testing.assert_array_equal(np.array(output["data"], np.float32).reshape(output["shape"]), wanted)


def test_a_request_s_own_timeout_is_in_microseconds(labelled: Serving):
    seed = [tensor("seed", np.array([1]))]
    with peer_of(labelled).client() as client:
        assert client.infer("fake", seed, timeout=30_000_000).as_numpy("image") is not None
        assert client.infer("fake", seed, timeout=0).as_numpy("image") is not None
        with pytest.raises(InferenceServerException) as error:
            client.infer("fake", seed, timeout=1)
    assert error.value.status() == "504"


def test_what_is_said_of_the_model_is_what_it_takes_and_gives(server: Serving):
    about = server.service.model.backend.metadata
    with server.client() as http:
        said = http.get("/v2/models/fake").json()
        config = http.get("/v2/models/fake/versions/1/config").json()
        binary = {"binary_data_output": True}
        outputs = [{"name": each["name"]} for each in said["outputs"]]
        reply = post(http, inputs=[seeds_of(1, 2)], outputs=outputs, parameters=binary)
    given = json.loads(reply.content[: int(reply.headers["inference-header-content-length"])])["outputs"]
    assert [(each["name"], each["datatype"], [-1, *each["shape"][1:]]) for each in given] == [
        (each["name"], each["datatype"], each["shape"]) for each in said["outputs"]
    ]
    assert [each["name"] for each in said["inputs"]] == ["z", "seed", *(["label"] if about.classes else [])]
    for of, key in (("inputs", "input"), ("outputs", "output")):
        assert [(each["name"], each["dims"]) for each in config[key]] == [
            (each["name"], each["shape"]) for each in said[of]
        ]
    assert json.loads(config["parameters"].get("wgan.classes", {"string_value": "null"})["string_value"]) == (
        None if about.classes is None else list(about.classes)
    )


def test_what_the_server_says_is_what_clients_of_the_protocol_read(http: httpx.Client):
    assert http.get("/v2").json() == {
        "name": "wgan",
        "version": version(),
        "extensions": ["binary_tensor_data", "model_configuration"],
    }
    assert http.get("/v2/health/live").json() == {"live": True}
    assert http.get("/v2/models/fake/ready").json() == {"name": "fake", "ready": True}
    said = http.get("/v2/models/fake").json()
    assert [(each["name"], each["datatype"]) for each in said["inputs"]] == [
        ("z", "FP32"),
        ("seed", "INT64"),
        ("label", "INT64"),
    ]
    config = http.get("/v2/models/fake/config").json()
    assert (config["name"], config["platform"], config["max_batch_size"]) == ("fake", "wgan_onnx", 0)
    assert config["version_policy"] == {"latest": {"num_versions": 1}}
    assert config["parameters"]["wgan.max_n"] == {"string_value": "256"}
    assert all(each["optional"] is True for each in config["input"])
    assert [each["data_type"] for each in config["input"]] == ["TYPE_FP32", "TYPE_INT64", "TYPE_INT64"]
    assert [each["data_type"] for each in config["output"]] == ["TYPE_FP32", "TYPE_UINT8", "TYPE_STRING"]


def test_an_answer_in_json_is_named_so(http: httpx.Client):
    reply = post(http, inputs=[seeds_of(1)])
    assert reply.headers["content-type"] == "application/json"
    assert "inference-header-content-length" not in reply.headers
    binary = post(http, inputs=[seeds_of(1)], parameters={"binary_data_output": True})
    assert binary.headers["content-type"] == "application/octet-stream"


FAR = {"name": "z", "datatype": "FP32", "shape": [1, 192], "data": [1e30] * 192}
NEAR = FAR | {"data": [0.5] * 192}
WRONG: list[tuple[dict[str, Any], str]] = [
    ({}, "inputs is null"),
    ({"inputs": []}, "either z or seed"),
    ({"inputs": [labels_of(1)]}, "either z or seed"),
    ({"inputs": [seeds_of(1), NEAR]}, "either z or seed"),
    ({"inputs": [NEAR]}, "z needs label, whole numbers from 0 to 2"),
    ({"inputs": [seeds_of(1), labels_of(3)]}, "value 0 of label is 3"),
    ({"inputs": [FAR, labels_of(1)]}, "not finite"),
    ({"inputs": [seeds_of(*range(257))]}, "with N from 1 to 256"),
    ({"inputs": [seeds_of(1)], "id": 3}, "id is 3, not a string"),
    ({"inputs": [seeds_of(1)], "ID": "a"}, 'the request has "ID"'),
    ({"inputs": [seeds_of(1)], "parameters": {"priority": 1}}, 'parameters of the request has "priority"'),
    ({"inputs": [seeds_of(1)], "parameters": [1]}, "parameters of the request is [1], not an object"),
    ({"inputs": [seeds_of(1)], "parameters": {"truncation": 11}}, "truncation is 11, not a number from 0.001 to 10"),
    ({"inputs": [seeds_of(1)], "parameters": {"truncation": True}}, "truncation is true"),
    ({"inputs": [seeds_of(1)], "parameters": {"truncation": 10**399}}, "truncation is 1000"),
    ({"inputs": [seeds_of(1)], "parameters": {"truncation_kind": "scaled"}}, "truncation_kind needs truncation"),
    ({"inputs": [seeds_of(1)], "parameters": {"truncation": 1, "truncation_kind": "x\n"}}, 'kind is "x\\n", not one'),
    ({"inputs": [NEAR, labels_of(1)], "parameters": {"truncation": 1}}, "z excludes truncation"),
    ({"inputs": [seeds_of(1)], "parameters": {"binary_data_output": 1}}, "binary_data_output is 1"),
    ({"inputs": [seeds_of(1)], "parameters": {"timeout": -1}}, "timeout is -1"),
    ({"inputs": [seeds_of(1)], "parameters": {"timeout": 2**63}}, "timeout is 9223372036854775808"),
    ({"inputs": [seeds_of(1)], "outputs": {}}, "outputs is an object"),
    ({"inputs": [seeds_of(1)], "outputs": [{"name": "logits"}]}, 'named "logits"'),
    ({"inputs": [seeds_of(1)], "outputs": [{"name": "image"}] * 2}, "image is there twice"),
    ({"inputs": [seeds_of(1)], "outputs": [{"name": "png"}]}, "binary_data true"),
    (
        {"inputs": [seeds_of(1)], "outputs": [{"name": "image", "parameters": {"classification": 3}}]},
        'parameters of image has "classification"',
    ),
    ({"inputs": [seeds_of(1)], "outputs": [{"name": "image", "parameters": {"binary_data": "yes"}}]}, 'is "yes"'),
]


@pytest.mark.parametrize(("values", "message"), WRONG, ids=[message for _, message in WRONG])
def test_a_request_that_cannot_be_met_is_refused_in_one_line(http: httpx.Client, values: dict[str, Any], message: str):
    reply = post(http, **values)
    body = reply.json()
    assert (reply.status_code, body["code"]) == (400, "bad_request")
    assert message in body["error"]
    assert len(body["error"].splitlines()) == 1
    assert len(body["error"]) < 200
    assert body["request_id"] == reply.headers["x-request-id"]


def test_a_seed_s_image_that_is_not_finite_is_the_server_s_fault(capfd: pytest.CaptureFixture[str]):
    class Broken(FakeGenerator):
        def _infer(self, z: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
            return np.where(super()._infer(z, labels) > 0.5, np.float32(np.inf), np.float32(0))

    with serving(Broken()) as server, server.client() as http:
        z = {"name": "z", "datatype": "FP32", "shape": [1, 192]}
        for output in ("image", "pixels"):
            outputs = [{"name": output}]
            assert post(http, inputs=[z | {"data": [0] * 192}], outputs=outputs).status_code == 200
            assert post(http, inputs=[z | {"data": [9] * 192}], outputs=outputs).status_code == 400
            reply = post(http, inputs=[seeds_of(*range(9))], outputs=outputs)
            assert (reply.status_code, reply.json()["code"]) == (500, "failed")
            assert "NaN" not in reply.text
    assert "NaN or Inf" in capfd.readouterr().err


def test_replies_are_not_larger_than_a_server_should_hold(http: httpx.Client, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(inference, "MOST_IN_JSON", 192)
    assert post(http, inputs=[seeds_of(1)]).status_code == 200
    assert "ask for fewer, or with binary_data true" in post(http, inputs=[seeds_of(1, 2)]).json()["error"]
    binary = {"binary_data_output": True}
    assert post(http, inputs=[seeds_of(1, 2)], parameters=binary).status_code == 200
    monkeypatch.setattr(inference, "MOST_VALUES", 192)
    assert "2 images are 384 values" in post(http, inputs=[seeds_of(1, 2)], parameters=binary).json()["error"]


def test_a_compressed_body_is_refused(http: httpx.Client, labelled: Serving):
    reply = http.post("/v2/models/fake/infer", content=b"\x1f\x8b", headers={"content-encoding": "gzip"})
    assert (reply.status_code, reply.json()["code"]) == (415, "unsupported")
    with peer_of(labelled).client() as client, pytest.raises(InferenceServerException, match="compressed"):
        client.infer("fake", [tensor("seed", np.array([1]))], request_compression_algorithm="gzip")


def test_models_are_not_loaded_over_http(http: httpx.Client):
    for action in ("load", "unload"):
        reply = http.post(f"/v2/repository/models/fake/{action}", json={})
        assert (reply.status_code, reply.json()["code"]) == (403, "forbidden")
    assert http.get("/v2/health/ready").json() == {"ready": True}
    assert http.post("/v2/repository/index").json() == [
        {"name": "fake", "version": "1", "state": "READY", "reason": ""}
    ]


def test_a_server_that_is_not_ready_lives_and_says_why(labelled: Serving, http: httpx.Client):
    for state, code in ((DRAINING, "draining"), (STARTING, "starting")):
        labelled.service.state = state
        try:
            assert http.get("/v2/health/live").status_code == 200
            for path in ("/v2/health/ready", "/v2/models/fake/ready"):
                reply = http.get(path)
                assert (reply.status_code, reply.json()["code"]) == (503, code)
            assert http.post("/v2/repository/index").json()[0]["state"] == "UNAVAILABLE"
            # who asks all the same is answered
            assert post(http, inputs=[seeds_of(1)]).status_code == 200
        finally:
            labelled.service.state = READY


def test_the_documentation_s_examples_work_as_written(labelled: Serving, http: httpx.Client):
    page = (ROOT / "docs" / "deploy" / "open-inference.md").read_text("utf-8")
    (asked,) = re.findall(r"generator/infer -d '(.*?)'", page, re.S)
    reply = http.post("/v2/models/fake/infer", content=asked, headers={"content-type": FORM})
    assert [each["name"] for each in reply.json()["outputs"]] == ["pixels"]
    (program,) = re.findall(r"```text\n(import.*?)```", page, re.S)
    program = program.replace("127.0.0.1:8000", f"127.0.0.1:{labelled.port}").replace('"generator"', '"fake"')
    made: dict[str, Any] = {}
    exec(program, made)
    made["client"].close()
    np.testing.assert_array_equal(
        made["pixels"], as_pixels(images_of(labelled.service.model.backend, list(range(16)))), strict=True
    )


@pytest.mark.slow
def test_a_real_generator_makes_the_bits_of_its_backend_and_the_files_of_wgan_sample(tmp_path: Path):
    z = np.random.default_rng(3).normal(size=(2, 128)).astype(np.float32)
    np.save(tmp_path / "z.npy", z)
    png = [triton.InferRequestedOutput("png")]
    with wgan_serve("faces", tmp_path) as server, open_model(built_in(), "onnx", "cpu") as backend:
        peer = Peer(f"127.0.0.1:{server.port}", "faces", backend)
        for check in CHECKS:
            check(peer)
        with peer.client() as client:
            given = [tensor("seed", np.array([5, 6])), tensor("label", np.array([2, 2]))]
            of_seeds = client.infer("faces", given, outputs=png, parameters={"truncation": 0.8}).as_numpy("png")
            of_rows = client.infer("faces", [tensor("z", z), given[1]], outputs=png).as_numpy("png")
    name = backend.metadata.classes[2] if backend.metadata.classes else ""
    words = ["sample", "--model", "faces", "--label", name]
    for options, unit, first, files in (
        (["--seed", "5", "-n", "2", "--truncation", "0.8"], "seed", 5, of_seeds),
        (["--latents", str(tmp_path / "z.npy")], "row", 0, of_rows),
    ):
        folder = tmp_path / unit
        assert main([*words, "--out", str(folder), *options]) == 0
        assert [(folder / f"{unit}-{first + i:06d}.png").read_bytes() for i in range(2)] == list(files)
