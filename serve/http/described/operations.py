"""What each route of `/v1`, of health and of metrics takes and gives, in the words of OpenAPI."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from wgan.serve.artifacts.metadata import FIGURES, Metadata
from wgan.serve.http.images.asked import SEED, TYPE, body_fields, most_of, url_fields
from wgan.serve.http.images.encoding import FORMATS
from wgan.serve.http.images.fields import Schema, seed
from wgan.serve.http.limits.settings import Settings
from wgan.serve.http.queue.model import Model
from wgan.serve.latents.table import SEEDS

Values = dict[str, Any]
Made = Callable[[Model, Settings], Values]
TEXT: Schema = {"type": "string"}
TRUE_OR_FALSE: Schema = {"type": "boolean"}
MODEL_HEADER = {"X-Wgan-Model": {"description": "SHA-256 of the artifact", "schema": TEXT}}
TIMEOUT = "X-Request-Timeout"
PARTS = "#/components/schemas/"


@dataclass(frozen=True)
class Operation:
    """A route and a method.

    Args:
        method: in small letters.
        path: as the application's router has it.
        about: what it does, in a line.
        made: gives its `parameters`, `requestBody` and the reply of status 200, for a model.
        free: whether it needs no token.
        statuses: of other replies than 200.
    """

    method: str
    path: str
    about: str
    made: Made
    free: bool = False
    statuses: tuple[int, ...] = ()

    @property
    def id(self) -> str:
        """Its `operationId`."""
        words = self.path.translate(str.maketrans("{}./", "____")).split("_")
        return "_".join(word for word in (self.method, *words) if word)


def record(properties: Mapping[str, Schema], optional: tuple[str, ...] = ()) -> Schema:
    """The schema of an object that has these fields and no other."""
    needed = [name for name in properties if name not in optional]
    return {"type": "object", "properties": dict(properties), "required": needed, "additionalProperties": False}


def optional(schema: Schema) -> Schema:
    """Or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def counted(low: int = 0) -> Schema:
    """A whole number."""
    return {"type": "integer", "minimum": low}


def listed(schema: Schema) -> Schema:
    """A list."""
    return {"type": "array", "items": schema}


def reply(schema: Schema, media: str = TYPE, about: str = "done", headers: Values | None = None) -> Values:
    """A reply of status 200."""
    content = {"description": about, "content": {media: {"schema": schema}}}
    return content if headers is None else content | {"headers": headers}


def parameter(name: str, where: str, schema: Schema, about: str = "") -> Values:
    """A parameter in the path, the query or a header."""
    needed = {"required": True} if where == "path" else {}
    return {"name": name, "in": where, "schema": schema} | needed | ({"description": about} if about else {})


def timeout(settings: Settings) -> Values:
    """The header that says how long a client waits."""
    about = f"seconds in which the images are wanted [default: {settings.request_timeout:g}]; digits, no exponent"
    schema = {"type": "number", "exclusiveMinimum": 0, "maximum": settings.max_request_timeout}
    return parameter(TIMEOUT, "header", schema, about)


ABOUT = {
    "label": "class of every image [default: seed s has class s mod their number]",
    "truncation": "less variety: 0.7, say [default: the latents as they are]",
    "truncation_kind": "normals cut off at ±T, or z times T [default: truncated]; needs truncation",
    "model": "the beginning of the artifact's SHA-256: another artifact is 404",
    "seed": "of the first image; the next ones count up [default: 0]",
    "n": "how many images [default: 1, where there is a seed]",
    "seeds": "of the images, which need not follow one another; a tar has no place for one twice",
    "interpolate": "the way from one seed to another, both included",
    "steps": "images on that way [default: 32]",
    "format": "; ".join(f"{name}: {format.about}" for name, format in FORMATS.items()) + " [default: png]",
}


def image(format: str) -> Made:
    """`GET /v1/images/{seed}` with the ending of a format."""

    def made(model: Model, settings: Settings) -> Values:
        fields = url_fields(model.backend.metadata.classes)
        query = [parameter(name, "query", kind.schema, ABOUT[name]) for name, kind in fields.items()]
        same = parameter("If-None-Match", "header", TEXT, "ETags that the client has: one of them is 304, and no image")
        headers = MODEL_HEADER | {
            "ETag": {"description": "of all that the bytes depend on", "schema": TEXT},
            "Cache-Control": {"description": "immutable, unless another artifact may come", "schema": TEXT},
        }
        number = SEED.schema["anyOf"][0]
        return {
            "parameters": [parameter("seed", "path", number), *query, same, timeout(settings)],
            "200": reply({}, FORMATS[format].media, "the image", headers),
        }

    return made


def images(model: Model, settings: Settings) -> Values:
    """`POST /v1/images`."""
    shape = {"X-Shape": {"description": "of the format raw: N,H,W,C", "schema": TEXT}}
    content: Values = {format.media: {"schema": {}} for format in FORMATS.values()}
    return {
        "parameters": [timeout(settings)],
        "requestBody": {
            "required": True,
            "description": ABOUT["format"],
            "content": {TYPE: {"schema": {"anyOf": bodies(model.backend.metadata, settings)}}},
        },
        "200": {"description": "the images", "content": content, "headers": MODEL_HEADER | shape},
    }


def parts(metadata: Metadata) -> dict[str, Schema]:
    """The schemas that many bodies have in common, by name."""
    fields = {name: kind.schema for name, kind in url_fields(metadata.classes).items() if name != "model"}
    described = {name: schema | {"description": ABOUT[name]} for name, schema in fields.items()}
    return described | {"any_seed": SEED.schema}


def bodies(metadata: Metadata, settings: Settings) -> list[Schema]:
    """The bodies of `POST /v1/images`: an object for each way to name images, with the formats that hold so many."""
    limits: dict[int, list[str]] = {}
    for name in FORMATS:
        limits.setdefault(most_of(name, settings), []).append(name)
    drawn = {name: {"$ref": PARTS + name} for name in parts(metadata)}
    any_seed = drawn.pop("any_seed")
    ways = []
    for most, formats in limits.items():
        of = {name: kind.schema for name, kind in body_fields(None, most, tuple(formats)).items()}
        several = {"interpolate": of["interpolate"] | {"items": any_seed}, "steps": of["steps"]}
        own: list[tuple[Values, str]] = [
            ({"seed": any_seed}, "seed"),
            ({"seed": seed(SEEDS - most).schema, "n": of["n"]}, "n"),
            ({"seeds": of["seeds"] | {"items": any_seed}}, "seeds"),
            *([(several, "interpolate")] if most > 1 else []),
        ]
        default = [] if "png" in formats else ["format"]
        for fields, first in own:
            described = {name: schema | {"description": ABOUT[name]} for name, schema in fields.items()}
            depends = {"dependentRequired": {"truncation_kind": ["truncation"]}}
            way = record(described | drawn | {"format": of["format"]})
            ways.append(way | depends | {"required": [first, *default]})
    return ways


def model_schema(model: Model, settings: Settings) -> Schema:
    """Of what `GET /v1/model` gives."""
    number: Schema = {"type": "number"}
    words = {"type": "object", "additionalProperties": TEXT}
    numbers = {"type": "object", "additionalProperties": number}
    size = {name: counted(1) for name in ("height", "width", "channels")}
    origin = record({"step": counted(), "checkpoint": TEXT, "scores": numbers}, ("checkpoint", "scores"))
    measured = {"passed": TRUE_OR_FALSE, "finite": TRUE_OR_FALSE, "device": TEXT, "gates": numbers}
    parity = record(measured | dict.fromkeys(FIGURES, number), (*measured, *FIGURES))
    return record(
        {
            **dict.fromkeys(("name", "digest", "format", "precision", "backend", "device"), TEXT),
            "opset": optional(counted(1)),
            "latent": record({"dim": counted(1), "distribution": TEXT}),
            "image": record(size | {"dtype": TEXT}),
            "classes": optional(listed(TEXT)),
            "origin": optional(origin),
            "parity": optional(parity),
            "assumes": optional(TEXT),
            "provider": optional(TEXT),
            "versions": words,
            "limits": record({"n": counted(1), "streamed": counted(1)}),
        }
    )


def _status(word: str) -> Made:
    return lambda model, settings: {"200": reply(record({"status": {"const": word}}))}


def _text(media: str) -> Made:
    return lambda model, settings: {"200": reply(TEXT, media)}


MAKES = (429, 500, 503, 504)  # what a request for images may be answered
V1 = (
    *(
        Operation(
            "get", f"/v1/images/{{seed}}.{name}", f"one image as {name}", image(name), statuses=(304, 404, *MAKES)
        )
        for name in ("png", "webp")
    ),
    Operation("post", "/v1/images", "any number of images; many are streamed", images, statuses=(413, 415, *MAKES)),
    Operation("get", "/v1/model", "what is served", lambda *of: {"200": reply(model_schema(*of))}, statuses=(503,)),
    Operation("get", "/healthz", "whether the server lives", _status("alive"), free=True),
    Operation("get", "/readyz", "whether it makes images", _status("ready"), free=True, statuses=(503,)),
    Operation("get", "/metrics", "counters, as Prometheus reads them", _text("text/plain")),
    Operation("get", "/openapi.json", "this document", lambda *_: {"200": reply({"type": "object"})}, statuses=(503,)),
    Operation("get", "/", "a page to draw images", _text("text/html"), free=True, statuses=(304,)),
)
