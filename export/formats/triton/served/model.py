"""A model of Triton's python backend: seeds in, pixels or PNG files out, by the generator beside it.

It needs numpy and nothing else. The folder `wgan` beside this file holds what makes a seed an image, copied from the
wgan that exported the generator, so that a seed's image is that of `wgan sample`.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # the copies come before any wgan that is installed there

import numpy as np
import triton_python_backend_utils as pb_utils

from wgan.export.formats.triton.served.drawing import labels_for, latents_for, pixels_of, png_of
from wgan.serve.base.errors import BackendError, ConfigError


@dataclass
class Asked:
    """One request: its generator's inputs and the names of the outputs that are wanted."""

    z: np.ndarray
    label: np.ndarray | None
    outputs: Sequence[str]


class TritonPythonModel:
    """What Triton calls."""

    def initialize(self, args: dict[str, str]) -> None:
        """Reads from the configuration which generator it is, and what that takes."""
        config = json.loads(args["model_config"])
        facts = {name: entry["string_value"] for name, entry in config["parameters"].items()}
        self.generator = facts["wgan.generator"]
        self.dim = int(facts["wgan.latent_dim"])
        self.classes = len(json.loads(facts.get("wgan.classes", "[]")))

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """One answer for each request. All that are right are one batch of the generator."""
        read = [self._read(request) for request in requests]
        asked = [one for one in read if isinstance(one, Asked)]
        images = self._generate(asked) if asked else None
        answers, at = [], 0
        for one in read:
            if not isinstance(one, Asked):
                answers.append(_refusal(one))
            elif not isinstance(images, np.ndarray):
                answers.append(_refusal(images))
            else:
                answers.append(_answer(images[at : at + len(one.z)], one.outputs))
                at += len(one.z)
        return answers

    def _read(self, request: Any) -> Any:
        """What a request asks for, or the error that it gets."""
        seeds, label = _values(request, "seed"), _values(request, "label")
        kind = json.loads(request.parameters() or "{}").get("truncation_kind")
        try:
            z = latents_for(seeds, self.dim, _values(request, "truncation"), kind)
            return Asked(z, labels_for(seeds, self.classes, label), request.requested_output_names())
        except (ConfigError, ValueError) as error:
            return pb_utils.TritonError(str(error).removeprefix("--"), pb_utils.TritonError.INVALID_ARG)

    def _generate(self, asked: Sequence[Asked]) -> Any:
        """The generator's images of all of them, in one batch, or its error."""
        inputs = [pb_utils.Tensor("z", np.concatenate([one.z for one in asked]))]
        if self.classes:
            labels = np.concatenate([one.label for one in asked if one.label is not None])
            inputs.append(pb_utils.Tensor("label", labels[:, None]))
        response = pb_utils.InferenceRequest(
            model_name=self.generator,
            requested_output_names=["image"],
            inputs=inputs,
            preferred_memory=pb_utils.PreferredMemory(pb_utils.TRITONSERVER_MEMORY_CPU),
        ).exec()
        if response.has_error():
            return response.error()
        return pb_utils.get_output_tensor_by_name(response, "image").as_numpy()


def _values(request: Any, name: str) -> Any:
    """An input (N, 1) as (N,); None where it was not sent."""
    tensor = pb_utils.get_input_tensor_by_name(request, name)
    return None if tensor is None else tensor.as_numpy().reshape(-1)


def _answer(images: np.ndarray, outputs: Sequence[str]) -> Any:
    try:
        pixels = pixels_of(images)
    except BackendError as error:
        return _refusal(pb_utils.TritonError(str(error)))
    tensors = []
    if "pixels" in outputs:
        tensors.append(pb_utils.Tensor("pixels", np.ascontiguousarray(pixels)))
    if "png" in outputs:
        files = np.array([[png_of(image)] for image in pixels], dtype=np.object_)
        tensors.append(pb_utils.Tensor("png", files))
    return pb_utils.InferenceResponse(tensors)


def _refusal(error: Any) -> Any:
    return pb_utils.InferenceResponse(error=error)
