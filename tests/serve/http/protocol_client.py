"""`tritonclient`, unchanged, against whatever speaks the Open Inference Protocol: this server or a real tritonserver.

peer = Peer("127.0.0.1:8000", "generator", backend)
for check in CHECKS:
    check(peer)
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from wgan.serve.backends.base import Backend
from wgan.serve.latents.table import latents

DATATYPES = {"float32": "FP32", "uint8": "UINT8"}


@dataclass
class Peer:
    """A server.

    Args:
        address: host:port of its HTTP.
        model: the name that it has given the generator.
        backend: the same artifact, open in this process: what it makes is what the server must make.
        most: rows that the server takes in a request.
        timeout: seconds for the server to answer.
    """

    address: str
    model: str
    backend: Backend
    most: int = 256
    timeout: float = 60.0

    @contextmanager
    def client(self) -> Iterator[Any]:
        """A client of it."""
        with triton.InferenceServerClient(
            self.address, connection_timeout=self.timeout, network_timeout=self.timeout
        ) as client:
            yield client

    def labels(self, count: int) -> np.ndarray | None:
        """int64 (N,), of every class; None where there are none."""
        classes = self.backend.metadata.classes
        return None if classes is None else np.arange(count)[::-1] % len(classes)

    def inputs(self, z: np.ndarray, labels: np.ndarray | None, binary: bool = True) -> list[Any]:
        """As the client sends them; labels as (N, 1), which Triton asks for."""
        made = [tensor("z", z, binary)]
        return made if labels is None else [*made, tensor("label", labels[:, None], binary)]


def tensor(name: str, array: np.ndarray, binary: bool = True) -> Any:
    """An input of the client, of an array of float32, int64 or uint64."""
    datatype = {"float32": "FP32", "int64": "INT64", "uint64": "UINT64"}[str(array.dtype)]
    made = triton.InferInput(name, list(array.shape), datatype)
    made.set_data_from_numpy(array, binary_data=binary)
    return made


def is_live_and_ready(peer: Peer) -> None:
    """Health, of the server and of the model and its version, and of a model that is not there."""
    with peer.client() as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready(peer.model)
        assert client.is_model_ready(peer.model, "1")
        assert not client.is_model_ready(f"{peer.model}_")
        assert not client.is_model_ready(peer.model, "99")


def says_what_it_takes(peer: Peer) -> None:
    """Metadata of the server and of the model: latents in, the artifact's own images out."""
    about = peer.backend.metadata
    with peer.client() as client:
        assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
        said = client.get_model_metadata(peer.model)
        index = client.get_model_repository_index()
    inputs, outputs = ({each["name"]: each for each in said[key]} for key in ("inputs", "outputs"))
    assert said["name"] == peer.model
    assert "1" in said["versions"]
    assert (inputs["z"]["datatype"], inputs["z"]["shape"]) == ("FP32", [-1, about.latent.dim])
    assert ("label" in inputs) == (about.classes is not None)
    image = outputs["image"]
    assert (image["datatype"], image["shape"]) == (DATATYPES[about.image.dtype], [-1, *about.image.shape])
    assert peer.model in [each["name"] for each in index]


def makes_the_backend_s_images(peer: Peer) -> None:
    """Bit for bit, of latents in binary and in JSON, with images in either."""
    for count, binary_in, binary_out in [(1, True, True), (2, True, False), (5, False, True), (3, False, False)]:
        z, labels = latents(100, count, peer.backend.metadata.latent.dim), peer.labels(count)
        wanted = peer.backend.run(z, labels)
        with peer.client() as client:
            asked = [triton.InferRequestedOutput("image", binary_data=binary_out)]
            result = client.infer(peer.model, peer.inputs(z, labels, binary_in), outputs=asked)
        np.testing.assert_array_equal(result.as_numpy("image"), wanted, strict=True)


def makes_images_unless_asked_for_others(peer: Peer) -> None:
    """No output is named: the client asks for what there is, in binary."""
    z, labels = latents(7, 2, peer.backend.metadata.latent.dim), peer.labels(2)
    with peer.client() as client:
        result = client.infer(peer.model, peer.inputs(z, labels))
    np.testing.assert_array_equal(result.as_numpy("image"), peer.backend.run(z, labels), strict=True)


def keeps_the_client_s_id(peer: Peer) -> None:
    """And tells the model and its version."""
    z, labels = latents(7, 1, peer.backend.metadata.latent.dim), peer.labels(1)
    with peer.client() as client:
        reply = client.infer(peer.model, peer.inputs(z, labels), "1", request_id="ours-1").get_response()
    assert (reply["id"], reply["model_name"], reply["model_version"]) == ("ours-1", peer.model, "1")


def makes_many_at_once(peer: Peer) -> None:
    """The most that a request may have, and one after the other of the same client."""
    z, labels = latents(0, peer.most, peer.backend.metadata.latent.dim), peer.labels(peer.most)
    with peer.client() as client:
        for _ in range(2):
            result = client.infer(peer.model, peer.inputs(z, labels))
            np.testing.assert_array_equal(result.as_numpy("image"), peer.backend.run(z, labels), strict=True)


def refuses_what_it_cannot_make(peer: Peer) -> None:
    """A client's mistake is an error of the client's, in words, and the server goes on."""
    dim = peer.backend.metadata.latent.dim
    z, labels = latents(0, 1, dim), peer.labels(1)
    many = latents(0, peer.most + 1, dim), peer.labels(peer.most + 1)
    good = peer.inputs(z, labels)
    mistakes: list[Callable[[Any], Any]] = [
        lambda client: client.infer(f"{peer.model}_", good),
        lambda client: client.infer(peer.model, good, "99"),
        lambda client: client.infer(peer.model, peer.inputs(*many)),
        lambda client: client.infer(peer.model, peer.inputs(np.zeros((1, dim + 1), np.float32), labels)),
        lambda client: client.infer(peer.model, [*good, tensor("none", z)]),
        lambda client: client.infer(peer.model, good, outputs=[triton.InferRequestedOutput("none")]),
        lambda client: client.infer(peer.model, []),
        lambda client: client.get_model_metadata(f"{peer.model}_"),
    ]
    with peer.client() as client:
        for number, mistake in enumerate(mistakes):
            with pytest.raises(InferenceServerException) as error:
                mistake(client)
            assert 400 <= int(error.value.status()) < 500, (number, error.value)
            assert len(error.value.message()) > 10
        result = client.infer(peer.model, good)
    np.testing.assert_array_equal(result.as_numpy("image"), peer.backend.run(z, labels), strict=True)


def takes_no_models(peer: Peer) -> None:
    """Neither loads nor unloads them over HTTP; Triton calls that 503."""
    with peer.client() as client:
        for change in (client.load_model, client.unload_model):
            with pytest.raises(InferenceServerException) as error:
                change(peer.model)
            assert int(error.value.status()) in (400, 403, 503)
        assert client.is_model_ready(peer.model)


CHECKS: list[Callable[[Peer], None]] = [
    is_live_and_ready, says_what_it_takes, makes_the_backend_s_images, makes_images_unless_asked_for_others,
    keeps_the_client_s_id, makes_many_at_once, refuses_what_it_cannot_make, takes_no_models,
]  # fmt: skip
