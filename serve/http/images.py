"""`/v1/images`."""

from functools import partial

import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from wgan.serve.http.refusals import Refusal
from wgan.serve.http.service import Service
from wgan.serve.http.wanted import Wanted
from wgan.serve.latents.table import SEEDS
from wgan.serve.outputs.pixels import as_pixels, encode_png


def routes(service: Service) -> list[BaseRoute]:
    """The routes of images."""

    async def png(request: Request) -> Response:
        text = request.path_params["seed"]
        if not (text.isascii() and text.isdecimal()) or int(text) >= SEEDS:
            raise Refusal.bad("the seed must be a whole number from 0 to 2^63 - 1")
        model, seeds = service.model, np.array([int(text)])
        classes = model.backend.metadata.classes
        labels = None if classes is None else seeds % len(classes)
        facts = {**model.text, "seed": text} | ({} if labels is None else {"label": str(labels[0])})
        body = await service.make(request, model, Wanted(1, seeds, labels=labels), partial(_png, facts))
        return Response(body, media_type="image/png")

    return [Route("/v1/images/{seed}.png", png, methods=["GET"])]


def _png(text: dict[str, str], images: np.ndarray) -> bytes:
    return encode_png(as_pixels(images)[0], text)
