"""An infer request of the Open Inference Protocol: from its body to what is wanted, and from images to the reply.

Of a request that is parsed nothing is left unread: what this server does not know, it refuses. N images, Z latent
values, K classes.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wgan.serve.artifacts.metadata import Metadata
from wgan.serve.base.errors import BackendError
from wgan.serve.http.inference.tensors import (
    Declared,
    Encoded,
    encode_array,
    encode_strings,
    join,
    only,
    read_inputs,
    shown,
    split,
)
from wgan.serve.http.limits.refusals import Refusal
from wgan.serve.http.queue.wanted import Wanted
from wgan.serve.latents.truncation import HIGHEST, KINDS, LOWEST, Truncation
from wgan.serve.outputs.encoded import png_of
from wgan.serve.outputs.pixels import as_pixels

MOST_VALUES = 2**26  # of a reply: 256 MiB of float32
MOST_IN_JSON = 2**20  # of a reply in JSON: some 20 bytes each
OUTPUTS = ("image", "pixels", "png")
PARAMETERS = ("binary_data_output", "timeout", "truncation", "truncation_kind")


@dataclass(frozen=True)
class Asked:
    """An infer request.

    Args:
        wanted: its images.
        outputs: what is made of them, and for each whether it is to be binary.
        timeout: seconds.
        id: the client's own.
    """

    wanted: Wanted
    outputs: Mapping[str, bool]
    timeout: float
    id: str | None


def declared(about: Metadata) -> dict[str, Declared]:
    """The inputs: ``z`` or ``seed``, and ``label`` where there are classes."""
    inputs = [Declared("z", ("FP32",), about.latent.dim), Declared("seed", ("INT64", "UINT64"))]
    if about.classes is not None:
        inputs.append(Declared("label", ("INT64",), highest=len(about.classes) - 1))
    return {each.name: each for each in inputs}


def of_request(about: Metadata, body: bytes, lengths: Sequence[str], most: int) -> Asked:
    """An infer request.

    Args:
        about: the model's metadata.
        body: JSON, and raw tensors after it.
        lengths: the request's headers that say where the JSON ends: one, or none where that is all.
        most: images.

    Raises:
        Refusal: whatever is wrong with it, in one line.
    """
    values, raw = split(body, lengths)
    only(values, ("id", "inputs", "outputs", "parameters"), "the request")
    name = values.get("id")
    if not isinstance(name, str | None):
        raise Refusal.bad(f"id is {shown(name)}, not a string")
    parameters = only(values.get("parameters"), PARAMETERS, "parameters of the request")
    arrays = read_inputs(values.get("inputs"), raw, declared(about), most)
    wanted = _wanted(arrays, about, _truncation(parameters))
    outputs = _outputs(values.get("outputs"), _truth(parameters, "binary_data_output", False))
    _check_size(wanted.count, about, outputs)
    return Asked(wanted, outputs, _timeout(parameters), name)


def reply(
    asked: Asked, head: Mapping[str, Any], text: Mapping[str, str], images: np.ndarray
) -> tuple[bytes, int | None]:
    """The body of the reply, and where its JSON ends if raw tensors follow it. On a worker's thread.

    Args:
        asked: the request.
        head: the reply's fields beside its outputs.
        text: what a PNG says of its origin, except its number.
        images: as the backend gave them.

    Raises:
        Refusal: the latents that the client gave make no finite image.
        BackendError: a seed's do not.
    """
    if images.dtype == np.float32 and not np.isfinite(images).all():
        if asked.wanted.z is not None:
            raise Refusal.bad("z: the generator's image of these values is not finite; its own are of a few units")
        raise BackendError("the generator produced NaN or Inf: try fp32 precision, or another checkpoint")
    pixels = as_pixels(images) if asked.outputs.keys() & {"pixels", "png"} else images
    outputs: list[Encoded] = []
    for name, binary in asked.outputs.items():
        if name == "png":
            outputs.append(encode_strings(name, _pngs(asked.wanted, text, pixels)))
        else:
            outputs.append(encode_array(name, images if name == "image" else pixels, binary))
    return join(head, outputs)


def _wanted(arrays: Mapping[str, np.ndarray], about: Metadata, truncation: Truncation | None) -> Wanted:
    z, seeds, labels = (arrays.get(name) for name in ("z", "seed", "label"))
    if (z is None) == (seeds is None):
        raise Refusal.bad("the inputs must have either z or seed")
    if z is not None and truncation is not None:
        raise Refusal.bad("z excludes truncation: its rows are taken as they are")
    if about.classes is not None and labels is None:
        if seeds is None:
            raise Refusal.bad(f"z needs label, whole numbers from 0 to {len(about.classes) - 1}")
        labels = seeds % len(about.classes)
    rows = z if seeds is None else seeds
    assert rows is not None
    return Wanted(len(rows), seeds, z, labels, truncation)


def _check_size(count: int, about: Metadata, outputs: Mapping[str, bool]) -> None:
    """Refuses a reply that is larger than a server should hold."""
    values = count * math.prod(about.image.shape)
    if values > MOST_VALUES:
        raise Refusal.bad(f"{count} images are {values:,} values, of which {MOST_VALUES:,} are the most: ask for fewer")
    if values > MOST_IN_JSON and not all(outputs.values()):
        limit = f"{values:,} numbers in JSON, of which {MOST_IN_JSON:,} are the most"
        raise Refusal.bad(f"{count} images are {limit}: ask for fewer, or with binary_data true")


def _truncation(parameters: Mapping[str, Any]) -> Truncation | None:
    threshold, kind = parameters.get("truncation"), parameters.get("truncation_kind")
    if kind is not None and kind not in KINDS:
        raise Refusal.bad(f"truncation_kind is {shown(kind)}, not one of {', '.join(KINDS)}")
    if threshold is None:
        if kind is not None:
            raise Refusal.bad("truncation_kind needs truncation")
        return None
    if type(threshold) not in (int, float) or not LOWEST <= threshold <= HIGHEST:
        raise Refusal.bad(f"truncation is {shown(threshold)}, not a number from {LOWEST:g} to {HIGHEST:g}")
    return Truncation(float(threshold), kind or KINDS[0])


def _timeout(parameters: Mapping[str, Any]) -> float:
    """Seconds, of Triton's microseconds; 0 says that the client sets none."""
    value = parameters.get("timeout", 0)
    if type(value) is not int or not 0 <= value < 2**63:
        raise Refusal.bad(f"timeout is {shown(value)}, not a whole number of microseconds")
    return value / 1e6 if value else math.inf


def _outputs(entries: Any, binary: bool) -> dict[str, bool]:
    """The outputs that are asked for, `image` if none is, and for each whether it is to be binary."""
    if not isinstance(entries, list | None):
        raise Refusal.bad(f"outputs is {shown(entries)}, not a list")
    outputs: dict[str, bool] = {}
    for entry in entries or [{"name": OUTPUTS[0]}]:
        values = only(entry, ("name", "parameters"), "an output")
        name = values.get("name")
        if not isinstance(name, str) or name not in OUTPUTS:
            raise Refusal.bad(f"an output is named {shown(name)}, which is not one of {', '.join(OUTPUTS)}")
        if name in outputs:
            raise Refusal.bad(f"the output {name} is there twice")
        parameters = only(values.get("parameters"), ("binary_data",), f"parameters of {name}")
        outputs[name] = _truth(parameters, "binary_data", binary)
        if name == "png" and not outputs[name]:
            raise Refusal.bad("png is bytes, which JSON cannot hold: ask for it with binary_data true")
    return outputs


def _truth(parameters: Mapping[str, Any], name: str, default: bool) -> bool:
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise Refusal.bad(f"{name} is {shown(value)}, not true or false")
    return value


def _pngs(wanted: Wanted, text: Mapping[str, str], pixels: np.ndarray) -> list[bytes]:
    """The files that `wgan sample` writes of these seeds, or of these latents as its --latents."""
    facts = dict(text)
    if wanted.truncation is not None:
        facts["truncation"] = str(wanted.truncation)
    if wanted.z is not None:
        given = np.ascontiguousarray(wanted.z, "<f4")
        facts["latents"] = hashlib.sha256(repr(given.shape).encode() + given.tobytes()).hexdigest()
    labels = [None] * wanted.count if wanted.labels is None else wanted.labels.tolist()
    unit, numbers = ("row", list(range(wanted.count))) if wanted.seeds is None else ("seed", wanted.seeds.tolist())
    return [
        png_of(image, unit, number, label, facts) for image, number, label in zip(pixels, numbers, labels, strict=True)
    ]
