"""ONNX generators that wgan did not export: run on what the file says and on assumptions, which the user is told."""

from pathlib import Path
from typing import Any

import numpy as np

from wgan.serve.artifacts.artifact import Artifact, Foreign
from wgan.serve.artifacts.containers import Damaged
from wgan.serve.artifacts.external_data import digest_with, external_files
from wgan.serve.artifacts.metadata import CHANNELS, ImageSpec, Latent, Metadata
from wgan.serve.backends.base import Backend, Options
from wgan.serve.backends.memory import runtime_failure
from wgan.serve.backends.onnxrt.backend import OnnxBackend
from wgan.serve.base.errors import ArtifactError, BackendError
from wgan.serve.latents.table import latents

LONGEST_LATENT, LARGEST_SIDE = 2**16, 2**14  # as wgan's own metadata allows
LARGEST_BATCH, LARGEST_INPUT = 2**16, 2**26  # images, and numbers in all their latents
FLOAT = "tensor(float)"
TRIAL = 4  # images made at opening, to see what they are
BEYOND = 1.1  # the largest value of an image that is meant to lie in [-1, 1]


class Stranger(OnnxBackend):
    """An ONNX file that another tool wrote, with one float32 input (N, Z) and one float32 output (N, C, H, W).

    ``assumes`` says in one line what is assumed beyond what the file says.
    """

    knows_inputs = False

    def __init__(self, path: Path, data: bytes, digest: str, device: str = "auto", options: Options | None = None):
        try:
            self._beside = external_files(path, data)
        except Damaged:
            raise ArtifactError(f"{path} is damaged or no ONNX file: copy or export it again") from None
        if self._beside:
            digest = digest_with(digest, self._beside)
        unknown = Metadata("onnx", "fp32", Latent(1), ImageSpec(1, 1, 1), payload_sha256=digest)
        super().__init__(Artifact(path, unknown, data), device, options)
        try:
            self._input, batch, latent_dim = self._look_at_input()
            self._output = self._look_at_output()
        except UnicodeDecodeError:
            raise self._refused("has tensor names that are not text") from None
        # a file that fixes its batch runs that batch alone: smaller ones are filled up to it
        self.steady_batch = batch or 1
        image, low, high = self._look_at_images(latents(0, batch or TRIAL, latent_dim))
        self.metadata = unknown.replace(latent=Latent(latent_dim), image=image, max_batch=batch)
        alpha = ", RGBA with straight alpha" if image.channels == 4 else ""
        self.assumes = (
            f"{path} was not exported by wgan: assuming normal latents of {latent_dim} and NCHW images in [-1, 1]"
            f"{alpha} (its first are {low:.2f} to {high:.2f}); nothing was measured against PyTorch"
        )

    def _model(self, artifact: Artifact) -> bytes | str:
        """Its path where its weights lie in files beside it: given bytes, the runtime would look for them elsewhere."""
        return str(artifact.path) if self._beside else artifact.data

    def _refused(self, what: str) -> ArtifactError:
        wanted = "one float32 input (N, Z) and one float32 image (N, C, H, W) with 1, 3 or 4 channels"
        return ArtifactError(f"{self.path} was not exported by wgan and {what}: what can be run has {wanted}")

    def _look_at_input(self) -> tuple[str, int | None, int]:
        """Its name, the batch if the file fixes it, and Z."""
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            raise self._refused(f"takes {len(inputs)} inputs ({', '.join(node.name for node in inputs)[:80]})")
        (z,) = inputs
        latent_dim = z.shape[1] if len(z.shape) == 2 else None
        if z.type != FLOAT or not isinstance(latent_dim, int) or not 1 <= latent_dim <= LONGEST_LATENT:
            raise self._refused(f"takes {_shown(z)}")
        batch = z.shape[0] if isinstance(z.shape[0], int) and z.shape[0] > 0 else None
        if batch is not None and (batch > LARGEST_BATCH or batch * latent_dim > LARGEST_INPUT):
            raise self._refused(f"takes {batch} latents of {latent_dim} at once, which is too many")
        return z.name, batch, latent_dim

    def _look_at_output(self) -> str:
        outputs = self._session.get_outputs()
        if len(outputs) != 1:
            raise self._refused(f"gives {len(outputs)} outputs ({', '.join(node.name for node in outputs)[:80]})")
        (image,) = outputs
        # tracing may leave a shape unknown: the images themselves decide
        if image.type != FLOAT or len(image.shape) not in (0, 4):
            raise self._refused(f"gives {_shown(image)}")
        name: str = image.name
        return name

    def _look_at_images(self, z: np.ndarray) -> tuple[ImageSpec, float, float]:
        """What the images of a few latents are, with the least and the largest value in them."""
        try:
            images = self._infer(z)
        except BackendError as error:
            raise self._refused(f"does not run {len(z)} latents at once ({str(error)[:60]}…)") from None
        shape = images.shape
        sides = all(1 <= side <= LARGEST_SIDE for side in shape[2:])
        if len(shape) != 4 or shape[0] != len(z) or shape[1] not in CHANNELS or not sides:
            raise self._refused(f"gives images of shape {shape} for {len(z)} latents")
        low, high = float(images.min()), float(images.max())
        if not max(-low, high) <= BEYOND:  # NaN too
            raise self._refused(f"gives values from {low:.4g} to {high:.4g}, not in [-1, 1]")
        return ImageSpec(height=shape[2], width=shape[3], channels=shape[1]), low, high

    def _infer(self, z: np.ndarray, labels: np.ndarray | None = None) -> np.ndarray:
        try:
            with self._exact():
                images: np.ndarray = self._session.run([self._output], {self._input: z})[0]
        except Exception as error:  # onnxruntime raises types of its own, some without a common base
            raise runtime_failure("ONNX Runtime", error, len(z)) from None
        return images


def open_stranger(foreign: Foreign, device: str, options: Options) -> Backend:
    """A `ForeignOpener`."""
    return Stranger(foreign.path, foreign.data, foreign.digest, device, options)


def _shown(node: Any) -> str:
    shape = ", ".join(map(str, node.shape))
    return f"{node.name}: {node.type.removeprefix('tensor(').rstrip(')')} ({shape})"[:120]
