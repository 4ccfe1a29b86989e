"""The Open Inference Protocol, as Triton and KServe speak it: one model, which makes images of latents or of seeds.

Protocol: https://github.com/kserve/open-inference-protocol. Models are neither loaded nor unloaded by it: the server
has the one that it was started with.
"""

import json
from collections.abc import Mapping
from functools import partial

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from wgan.serve.artifacts.metadata import Metadata
from wgan.serve.http.inference import tensors
from wgan.serve.http.inference.inference import declared, of_request, reply
from wgan.serve.http.limits.refusals import Refusal
from wgan.serve.http.queue.model import Model
from wgan.serve.http.queue.service import DRAINING, READY, Service
from wgan.serve.machine.requirements import installed

VERSION = "1"  # of the model: there is no other
EXTENSIONS = ["binary_tensor_data", "model_configuration"]
LARGE = 1 << 16  # bytes of a body that is parsed beside the event loop
REFUSED = "this server takes no models over HTTP: start it with another --model, or with --watch"


def routes(service: Service) -> list[BaseRoute]:
    """The routes of `/v2`."""
    protocol = Protocol(service)
    listed: list[BaseRoute] = [
        Route("/v2", protocol.server, methods=["GET"]),
        Route("/v2/health/live", protocol.live, methods=["GET"]),
        Route("/v2/health/ready", protocol.ready, methods=["GET"]),
        Route("/v2/repository/index", protocol.index, methods=["POST"]),
        Route("/v2/repository/models/{name}/load", protocol.refuse, methods=["POST"]),
        Route("/v2/repository/models/{name}/unload", protocol.refuse, methods=["POST"]),
    ]
    for model in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
        listed += [
            Route(model, protocol.metadata, methods=["GET"]),
            Route(f"{model}/ready", protocol.model_ready, methods=["GET"]),
            Route(f"{model}/config", protocol.config, methods=["GET"]),
            Route(f"{model}/infer", protocol.infer, methods=["POST"]),
        ]
    return listed


class Protocol:
    """What answers them."""

    def __init__(self, service: Service):
        self._service = service

    async def server(self, _: Request) -> Response:
        """What the server is."""
        return JSONResponse({"name": "wgan", "version": installed("wgan") or "unknown", "extensions": EXTENSIONS})

    async def live(self, _: Request) -> Response:
        """Whether it answers."""
        return JSONResponse({"live": True})

    async def ready(self, _: Request) -> Response:
        """Whether it makes images."""
        self._check_ready()
        return JSONResponse({"ready": True})

    async def model_ready(self, request: Request) -> Response:
        """Whether this model does."""
        self._check_ready()
        return JSONResponse({"name": self._model(request).name, "ready": True})

    async def metadata(self, request: Request) -> Response:
        """The model's inputs and outputs."""
        model = self._model(request)
        about = model.backend.metadata
        return JSONResponse(
            {
                "name": model.name,
                "versions": [VERSION],
                "platform": f"wgan_{about.format}",
                "inputs": [
                    {"name": each.name, "datatype": each.datatypes[0], "shape": each.shape}
                    for each in declared(about).values()
                ],
                "outputs": [
                    {"name": name, "datatype": datatype, "shape": shape}
                    for name, (datatype, shape) in outputs(about).items()
                ],
            }
        )

    async def config(self, request: Request) -> Response:
        """The same as Triton's clients read it, and how many rows a request may have."""
        model = self._model(request)
        about = model.backend.metadata
        values = parameters(model, self._service.settings.max_n)
        return JSONResponse(
            {
                "name": model.name,
                "platform": f"wgan_{about.format}",
                "backend": "wgan",
                "version_policy": {"latest": {"num_versions": 1}},
                "max_batch_size": 0,  # in Triton's words: the first size of every shape is stated, not implied
                "input": [
                    {
                        "name": each.name,
                        "data_type": f"TYPE_{each.datatypes[0]}",
                        "dims": each.shape,
                        "optional": True,
                    }
                    for each in declared(about).values()
                ],
                "output": [
                    {"name": name, "data_type": "TYPE_STRING" if kind == "BYTES" else f"TYPE_{kind}", "dims": shape}
                    for name, (kind, shape) in outputs(about).items()
                ],
                "parameters": {name: {"string_value": value} for name, value in values.items()},
            }
        )

    async def index(self, _: Request) -> Response:
        """The models: one."""
        ready = self._service.state == READY
        state = {"state": "READY" if ready else "UNAVAILABLE", "reason": "" if ready else self._service.state}
        return JSONResponse([{"name": self._service.model.name, "version": VERSION, **state}])

    async def refuse(self, _: Request) -> Response:
        """Loading and unloading."""
        raise Refusal(403, "forbidden", REFUSED)

    async def infer(self, request: Request) -> Response:
        """Images of latents or seeds."""
        model = self._model(request)
        if request.headers.get("content-encoding", "identity") != "identity":
            raise Refusal.unsupported("the body is compressed, which this server does not take: send it as it is")
        body = await request.body()
        lengths = request.headers.getlist(tensors.LENGTH)
        parse = partial(of_request, model.backend.metadata, body, lengths, self._service.settings.max_n)
        asked = await run_in_threadpool(parse) if len(body) > LARGE else parse()
        head = {"model_name": model.name, "model_version": VERSION} | ({} if asked.id is None else {"id": asked.id})
        finish = partial(reply, asked, head, model.text)
        content, length = await self._service.make(request, model, asked.wanted, finish, asked.timeout)
        if length is None:
            return Response(content, media_type="application/json")
        return Response(content, headers={tensors.LENGTH: str(length)}, media_type="application/octet-stream")

    def _model(self, request: Request) -> Model:
        """The model that the URL names."""
        model, asked = self._service.model, request.path_params
        if asked["name"] != model.name:
            raise Refusal.not_found(f"no model of that name: this server has {json.dumps(model.name)}")
        if asked.get("version", VERSION) != VERSION:
            raise Refusal.not_found(f"no such version of the model: there is {VERSION} alone")
        return model

    def _check_ready(self) -> None:
        state = self._service.state
        if state == DRAINING:
            raise Refusal.draining()
        if state != READY:
            raise Refusal(503, "starting", "the server is starting: ask again", {"retry-after": "1"})


def outputs(about: Metadata) -> Mapping[str, tuple[str, list[int]]]:
    """The outputs: their datatypes and shapes."""
    image = about.image
    kind = {"float32": "FP32", "uint8": "UINT8"}[image.dtype]
    return {
        "image": (kind, [-1, *image.shape]),
        "pixels": ("UINT8", [-1, *image.with_output("uint8").shape]),
        "png": ("BYTES", [-1]),
    }


def parameters(model: Model, most: int) -> dict[str, str]:
    """What else a client may want to know, by the names that `wgan export --format triton` gives it."""
    about = model.backend.metadata
    values = {
        "wgan.image_layout": about.image.layout,
        "wgan.image_range": json.dumps(list(about.image.range)),
        "wgan.latent_distribution": about.latent.distribution,
        "wgan.max_n": str(most),
        "wgan.payload_sha256": about.payload_sha256,
    }
    if about.image.alpha is not None:
        values["wgan.image_alpha"] = about.image.alpha
    if about.classes is not None:
        values["wgan.classes"] = json.dumps(list(about.classes))
    return values
