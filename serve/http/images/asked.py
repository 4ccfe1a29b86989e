"""What a request asks for, read strictly onto the request type of `wgan sample`.

Nothing is guessed: an unknown name, a name twice or a value of another type is refused by a line that names the field.
The tables here are what the OpenAPI document is made of.
"""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from starlette.requests import Request as HttpRequest

from wgan.serve.artifacts.metadata import Metadata
from wgan.serve.base.errors import ConfigError
from wgan.serve.base.foreign_json import parse_exact_json
from wgan.serve.http.images.encoding import FORMATS, ONE, STREAMED
from wgan.serve.http.images.fields import Kind, choice, form, listed, number, seed, shown, whole
from wgan.serve.http.limits.refusals import Refusal
from wgan.serve.http.limits.settings import Settings
from wgan.serve.latents.truncation import HIGHEST, KINDS, LOWEST
from wgan.serve.sampling.request import STEPS, Request

Fields = Mapping[str, Kind]
Classes = tuple[str, ...] | None
WAYS = ("seed", "n", "seeds", "interpolate")  # of which at least one says which images
TYPE = "application/json"
LARGE = 1 << 16  # bytes of a body that is read beside the event loop
SEED = seed()
PIN = form("[0-9a-f]{8,64}", "8 to 64 of the digits 0-9 and a-f, the beginning of a digest")


@dataclass(frozen=True)
class Asked:
    """A request that has been read: which images, in which format, and the beginning of their artifact's digest."""

    images: Request
    format: str = "png"
    pin: str | None = None


@lru_cache(maxsize=8)
def url_fields(classes: Classes) -> Fields:
    """The parameters of `GET /v1/images/{seed}.png`, of a generator with these classes."""
    label = {} if classes is None else {"label": choice(classes)}
    return {**label, "truncation": number(LOWEST, HIGHEST), "truncation_kind": choice(KINDS), "model": PIN}


@lru_cache(maxsize=32)
def body_fields(classes: Classes, most: int, formats: tuple[str, ...] = tuple(FORMATS)) -> Fields:
    """The fields of `POST /v1/images`, of at most so many images in one of these formats."""
    drawn = {name: kind for name, kind in url_fields(classes).items() if name != "model"}
    ways = {"seed": SEED, "n": whole(1, most), "seeds": listed(SEED, 1, most), "interpolate": listed(SEED, 2, 2)}
    return {**ways, "steps": whole(min(2, most), most), **drawn, "format": choice(formats)}


def most_of(name: str, settings: Settings) -> int:
    """The images that a format of this name holds."""
    holds = FORMATS[name].holds
    return 1 if holds == ONE else settings.max_streamed if holds == STREAMED else settings.max_n


def of_url(request: HttpRequest, format: str, metadata: Metadata) -> Asked:
    """What `GET /v1/images/{seed}.{format}` asks for. Raises Refusal."""
    known = url_fields(metadata.classes)
    values: dict[str, Any] = {}
    for name, text in request.query_params.multi_items() if request.scope["query_string"] else ():
        if name in values:
            raise Refusal.bad(f"{name} is there twice")
        values[name] = _kind(known, name, metadata).read_text(name, text)
    pin = values.pop("model", None)
    return Asked(_images({"seed": SEED.read_text("seed", request.path_params["seed"]), "n": 1, **values}), format, pin)


async def of_body(request: HttpRequest, metadata: Metadata, settings: Settings) -> Asked:
    """What `POST /v1/images` asks for. Raises Refusal."""
    if request.query_params:
        name = next(iter(request.query_params))
        raise Refusal.bad(f"{shown(name)} in the URL is not known here: the fields are in the body, which is JSON")
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != TYPE:
        raise Refusal.unsupported(f"the body must be JSON: say so with Content-Type: {TYPE}")
    body = await request.body()
    if len(body) > LARGE:
        return await asyncio.to_thread(of_json, body, metadata, settings)
    return of_json(body, metadata, settings)


def of_json(body: bytes, metadata: Metadata, settings: Settings) -> Asked:
    """What this body asks for. Raises Refusal."""
    try:
        given = parse_exact_json(body)
    except ValueError as error:
        raise Refusal.bad(f"the body cannot be read as JSON: {error}") from None
    if not isinstance(given, dict):
        raise Refusal.bad("the body is not a JSON object")
    known = body_fields(metadata.classes, max(settings.max_n, settings.max_streamed))
    values = {name: _kind(known, name, metadata).read(name, value) for name, value in given.items()}
    if not any(name in values for name in WAYS):
        raise Refusal.bad("say which images: by seed and n, by seeds, or by interpolate and steps")
    if "seed" in values and "seeds" not in values and "interpolate" not in values:
        values.setdefault("n", 1)
    format = values.pop("format", "png")
    asked = Asked(_images(values), format)
    _check_count(asked, settings)
    return asked


def _kind(known: Fields, name: str, metadata: Metadata) -> Kind:
    if name in known:
        return known[name]
    if name == "label":
        raise Refusal.bad("label: this generator was trained without labels, leave it out")
    raise Refusal.bad(f"{shown(name)} is not known here, only {', '.join(known)}")


def _images(values: Mapping[str, Any]) -> Request:
    """The request, whose own rules are those of the command line. Raises Refusal."""
    try:
        return Request(**values)
    except ConfigError as error:
        raise Refusal.bad(in_fields(str(error))) from None


def in_fields(text: str) -> str:
    """A text that speaks of the command's options, in the names of fields."""
    return re.sub(r"(?<!\w)--?([a-z][a-z-]*)", lambda match: match[1].replace("-", "_"), text)


def _check_count(asked: Asked, settings: Settings) -> None:
    """Raises Refusal where a format does not hold as many images, or has no place for one of them twice."""
    images, most = asked.images, most_of(asked.format, settings)
    if images.seeds is not None:
        name, count = "seeds", len(images.seeds)
    elif images.interpolate is not None:
        name, count = "steps", images.steps or STEPS
    else:
        name, count = "n", images.n or 1
    if count > most:
        others: dict[int, list[str]] = {}
        for other in FORMATS:
            others.setdefault(most_of(other, settings), []).append(other)
        limits = "; ".join(f"{', '.join(names)}: {limit:,}" for limit, names in others.items())
        raise Refusal.bad(f"{name}: {count:,} images are too many for the format {asked.format} ({limits})")
    if asked.format == "tar" and images.seeds is not None and len(set(images.seeds)) < count:
        raise Refusal.bad("seeds: one of them is there twice, and a tar names its files after them")
