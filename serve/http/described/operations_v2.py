"""What each route of `/v2`, the Open Inference Protocol, takes and gives, in the words of OpenAPI."""

from typing import Any

from wgan.serve.http.described.operations import (
    MAKES,
    TEXT,
    TRUE_OR_FALSE,
    Made,
    Operation,
    Values,
    counted,
    listed,
    parameter,
    record,
    reply,
    timeout,
)
from wgan.serve.http.images.asked import TYPE
from wgan.serve.http.images.fields import Schema
from wgan.serve.http.inference.infer import EXTENSIONS, VERSION, outputs
from wgan.serve.http.inference.inference import OUTPUTS, declared
from wgan.serve.http.inference.tensors import LENGTH
from wgan.serve.http.limits.settings import Settings
from wgan.serve.http.queue.model import Model
from wgan.serve.latents.truncation import HIGHEST, KINDS, LOWEST

MODEL = "/v2/models/{name}"
BYTES = "application/octet-stream"
SHAPE: Schema = listed({"type": "integer", "minimum": -1})
PARAMETERS: Schema = {"type": "object"}


def named(path: str, made: Made) -> Made:
    """``made`` with the parameters of a path that names the model and perhaps its version."""

    def with_names(model: Model, settings: Settings) -> Values:
        values = made(model, settings)
        names = [parameter("name", "path", {"const": model.name})] if "{name}" in path else []
        versions = [parameter("version", "path", {"const": VERSION})] if "{version}" in path else []
        return values | {"parameters": [*names, *versions, *values.get("parameters", [])]}

    return with_names


def server(model: Model, settings: Settings) -> Values:
    """`/v2`."""
    extensions = listed({"enum": list(EXTENSIONS)})
    return {"200": reply(record({"name": TEXT, "version": TEXT, "extensions": extensions}))}


def metadata(model: Model, settings: Settings) -> Values:
    """`/v2/models/{name}`."""
    about = model.backend.metadata
    inputs = {"enum": list(declared(about))}
    tensor = {"name": TEXT, "datatype": TEXT, "shape": SHAPE}
    return {
        "200": reply(
            record(
                {
                    "name": {"const": model.name},
                    "versions": listed({"const": VERSION}),
                    "platform": TEXT,
                    "inputs": listed(record(tensor | {"name": inputs})),
                    "outputs": listed(record(tensor | {"name": {"enum": list(outputs(about))}})),
                }
            )
        )
    }


def config(model: Model, settings: Settings) -> Values:
    """`/v2/models/{name}/config`: Triton's own form, of which clients read what they know."""
    return {"200": reply({"type": "object", "required": ["name", "input", "output", "max_batch_size"]})}


def index(model: Model, settings: Settings) -> Values:
    """`/v2/repository/index`."""
    return {"200": reply(listed(record(dict.fromkeys(("name", "version", "state", "reason"), TEXT))))}


def infer(model: Model, settings: Settings) -> Values:
    """`/v2/models/{name}/infer`."""
    about = model.backend.metadata
    inputs = [
        record(
            {
                "name": {"const": each.name},
                "shape": {"type": "array", "items": counted(1), "minItems": 1, "maxItems": 2},
                "datatype": {"enum": list(each.datatypes)},
                "data": {"type": "array", "description": "the numbers, unless they follow the JSON"},
                "parameters": record({"binary_data_size": counted(1)}),
            },
            ("data", "parameters"),
        )
        for each in declared(about).values()
    ]
    output = record({"name": {"enum": list(OUTPUTS)}, "parameters": record({"binary_data": TRUE_OR_FALSE})})
    drawn: dict[str, Schema] = {
        "truncation": {"type": "number", "minimum": LOWEST, "maximum": HIGHEST},
        "truncation_kind": {"enum": list(KINDS)},
        "timeout": counted() | {"description": "microseconds"},
        "binary_data_output": TRUE_OR_FALSE,
    }
    request = record(
        {
            "id": TEXT,
            "inputs": listed({"anyOf": inputs}) | {"minItems": 1},
            "outputs": listed(output | {"required": ["name"]}),
            "parameters": record(drawn, tuple(drawn)),
        },
        ("id", "outputs", "parameters"),
    )
    made = record({"name": TEXT, "datatype": TEXT, "shape": SHAPE, "data": listed({}), "parameters": PARAMETERS})
    answer = record(
        {
            "model_name": TEXT,
            "model_version": TEXT,
            "id": TEXT,
            "outputs": listed(made | {"required": ["name", "datatype", "shape"]}),
        },
        ("id",),
    )
    binary: dict[str, Any] = {BYTES: {"schema": {}}}
    length = {"description": "bytes of JSON before the tensors", "schema": TEXT}
    head = parameter(LENGTH.title(), "header", TEXT, "bytes of JSON in the body, where tensors follow it")
    replied = reply(answer, headers={LENGTH.title(): length})
    return {
        "parameters": [head, timeout(settings)],
        "requestBody": {"required": True, "content": {TYPE: {"schema": request}} | binary},
        "200": replied | {"content": replied["content"] | binary},
    }


def _truth(word: str) -> Made:
    return lambda model, settings: {"200": reply(record({word: TRUE_OR_FALSE}))}


def _model_ready(model: Model, settings: Settings) -> Values:
    return {"200": reply(record({"name": {"const": model.name}, "ready": TRUE_OR_FALSE}))}


def _never(model: Model, settings: Settings) -> Values:
    return {"parameters": [parameter("name", "path", {"const": model.name})]}


def _of_model(path: str) -> list[Operation]:
    listed_ = [
        ("get", path, "the model's inputs and outputs", metadata, (404, 503)),
        ("get", f"{path}/ready", "whether the model makes images", _model_ready, (404, 503)),
        ("get", f"{path}/config", "the same as Triton's clients read it", config, (404, 503)),
        ("post", f"{path}/infer", "images of latents or of seeds", infer, (404, 413, 415, *MAKES)),
    ]
    return [Operation(*each[:3], named(path, each[3]), statuses=each[4]) for each in listed_]


V2 = (
    Operation("get", "/v2", "what the server is", server),
    Operation("get", "/v2/health/live", "whether the server lives", _truth("live"), free=True),
    Operation("get", "/v2/health/ready", "whether it makes images", _truth("ready"), free=True, statuses=(503,)),
    Operation("post", "/v2/repository/index", "the models: one", index, statuses=(503,)),
    *(
        Operation("post", f"/v2/repository/models/{{name}}/{verb}", "always refused", _never, statuses=(403,))
        for verb in ("load", "unload")
    ),
    *_of_model(MODEL),
    *_of_model(f"{MODEL}/versions/{{version}}"),
)
