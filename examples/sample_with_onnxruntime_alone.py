"""Images from an exported ONNX file with ONNX Runtime, numpy and Pillow, where wgan is not installed.

    python examples/sample_with_onnxruntime_alone.py runs/demo/export/generator.onnx

The latents here are numpy's, so these are other images than those of `wgan sample`, whose seeds are rows of a table.
"""

import json
import os
import sys

import numpy as np
from PIL import Image

# From 1.29 on ONNX Runtime reports its sessions to its maker, unless this is set before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
import onnxruntime as ort


def main(model: str, count: int = 8) -> None:
    """Writes ``count`` images into image-0.png and so on."""
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    # What the generator is stands in the file itself.
    metadata = json.loads(session.get_modelmeta().custom_metadata_map["wgan"])
    inputs = {"z": np.random.default_rng(0).standard_normal((count, metadata["latent"]["dim"]), np.float32)}
    if metadata["classes"]:  # trained with labels: the number of a class for each image
        inputs["label"] = np.arange(count, dtype=np.int64) % len(metadata["classes"])

    image = session.run(["image"], inputs)[0]  # float32 (N, C, H, W) in [-1, 1]
    if image.dtype == np.uint8:  # exported with --pixels uint8: pixels already
        pixels = image
    else:
        pixels = np.rint((image + 1) * 127.5).clip(0, 255).astype(np.uint8).transpose(0, 2, 3, 1)
    for number, picture in enumerate(pixels):
        Image.fromarray(picture.squeeze(-1) if picture.shape[-1] == 1 else picture).save(f"image-{number}.png")
    print(f"{count} images of {pixels.shape[2]}×{pixels.shape[1]} pixels")


if __name__ == "__main__":
    main(*sys.argv[1:2])
