"""The files of the folder: the page, its worker, the generator, what both must know of it, and ONNX Runtime Web."""

import hashlib
import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any

import numpy as np

from wgan.export import parity
from wgan.export.formats.web.ort_web import LATER, NAME, VERSION
from wgan.serve.artifacts.artifact import published
from wgan.serve.artifacts.metadata import Metadata
from wgan.serve.latents.table import latents
from wgan.serve.machine.requirements import installed
from wgan.serve.outputs.pixels import to_uint8
from wgan.serve.page.draw.files import exported, service_worker

Reference = Callable[[np.ndarray, np.ndarray | None], np.ndarray]
GRAPH = "generator.onnx"
MOST = 64  # images at a time
CHECKED, CHECK_BYTES = 16, 2**18  # images that the page compares with PyTorch's, at most, and their bytes


def site(
    graph: bytes, metadata: Metadata, name: str, expected: Reference, runtime: Mapping[str, bytes]
) -> dict[str, bytes]:
    """All files by their paths in the folder, but for its `wgan.json`.

    Args:
        graph: the generator, an ONNX artifact.
        metadata: what it says of itself.
        name: of the folder.
        expected: latents, labels → images, by PyTorch.
        runtime: ONNX Runtime Web's files.
    """
    static, here = files(__package__) / "static", files(__package__)
    parts = {entry.name: entry.read_bytes() for entry in static.iterdir() if entry.name.endswith(".js")}
    parts |= {name: text.encode() for name, text in exported().items()}
    parts[GRAPH] = graph
    parts["model.json"] = _json(described(metadata, name))
    parts["check.json"] = _json(checked(metadata, expected))
    parts |= {f"ort/{name}": content for name, content in runtime.items()}
    parts["ort/LICENSE.txt"] = (here / "ort_license.txt").read_text("utf-8").replace("{{version}}", VERSION).encode()
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(parts.items())}
    later = {f"ort/{name}" for name in (*LATER, "LICENSE.txt")}
    parts["sw.js"] = service_worker(digests, later).encode()
    return parts


def described(metadata: Metadata, name: str) -> dict[str, Any]:
    """What the page shows, in the words of `GET /v1/model`, and what its worker needs.

    The parity report is not in it: it is measured when all this is made, and lies in the folder's `wgan.json`.
    """
    return {
        "name": name,
        "digest": metadata.payload_sha256,
        **published(metadata),
        "format": "web",
        "parity": None,
        "assumes": None,
        "backend": "browser",
        "device": "cpu",
        "provider": None,
        "versions": {"wgan": installed("wgan") or "0", NAME: VERSION},
        "limits": {"n": MOST, "streamed": MOST},
        "graph": GRAPH,
    }


def checked(metadata: Metadata, expected: Reference) -> dict[str, Any]:
    """The first seeds, and their pixels as PyTorch draws them: of every class one, as far as that is not too much."""
    image, classes = metadata.image, len(metadata.classes or ())
    size = image.height * image.width * image.channels
    count = max(1, min(max(4, classes), CHECKED, CHECK_BYTES // size))
    labels = np.arange(count, dtype=np.int64) % classes if classes else None
    pixels = to_uint8(expected(latents(0, count, metadata.latent.dim), labels))
    return {
        "seeds": [str(seed) for seed in range(count)],
        "shape": list(pixels.shape[1:]),
        "levels": int(parity.GATES[metadata.precision, "cpu"]["max_abs"] * 127.5) + 1,  # by which a browser may differ
        "pixels": b64encode(np.ascontiguousarray(pixels).tobytes()).decode(),
    }


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, allow_nan=False).encode()
