"""Six generators of as many kinds, exported, and the images that PyTorch makes of some latents with them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.make import make_generator
from wgan.export import exporter
from wgan.serve.latents.table import latents
from wgan.serve.outputs.pixels import to_uint8

MOST = 8  # images of the largest batch
NAMES = ("red", "blue", "green")
SMALL = {"image_size": 16, "base_channels": 8, "latent_dim": 16}
# kind → what is exported: the generator, and how
KINDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "unconditional": ({}, {}),
    "conditional": ({"conditional": True, "classes": NAMES}, {}),
    "attention": ({"attention": 8}, {}),
    "conditional BatchNorm": ({"conditional": True, "classes": NAMES, "generator_labels": "batchnorm"}, {}),
    "fp16": ({}, {"precision": "fp16"}),
    "uint8": ({}, {"output": "uint8"}),
}


@dataclass(frozen=True)
class Case:
    """An artifact of each format, what goes in, and what PyTorch makes of that in float32, as the artifact gives it."""

    kind: str
    onnx: Path
    torchscript: Path
    inputs: dict[str, np.ndarray]
    images: np.ndarray


def make_case(kind: str, folder: Path) -> Case:
    """Exports the generator of a kind into the folder."""
    changes, how = KINDS[kind]
    generator = make_generator(**(SMALL | changes))
    made = exporter.export(generator, folder, ["onnx", "torchscript"], max_batch=MOST, device="cpu", **how)
    onnx, torchscript = (each.path for each in made)
    inputs = {"z": latents(0, MOST, generator.config.latent_dim)}
    if generator.classes:
        inputs["label"] = np.arange(MOST) % len(generator.classes)
    with torch.inference_mode():
        images = generator.module(*map(torch.from_numpy, inputs.values())).numpy()
    return Case(kind, onnx, torchscript, inputs, to_uint8(images) if how.get("output") else images)


def write_cases(cases: list[Case], folder: Path, form: str) -> None:
    """Writes what `drive.py` reads; ``form`` is onnx or torchscript."""
    table: dict[str, Any] = {}
    for case in cases:
        inputs = {}
        for tensor, value in case.inputs.items():
            path = folder / f"{case.kind}-{tensor}"
            value.tofile(path)
            inputs[tensor] = [str(value.dtype), value.shape, str(path)]
        table[case.kind] = {"file": str(getattr(case, form)), "inputs": inputs}
    (folder / "cases.json").write_text(json.dumps(table))
