"""What the stages that run a generator share: an untrained one of the document's size, and its files."""

from pathlib import Path

from gpu.rows import Here
from tests.make import make_generator
from wgan.export import exporter
from wgan.export.reference.generator import TrainedGenerator


def generator(here: Here, classes: tuple[str, ...] | None = None) -> TrainedGenerator:
    """64 pixels and channels; 32 and 8 where everything is tiny."""
    size = {} if here.tiny else {"image_size": 64, "base_channels": 64, "latent_dim": 128}
    return make_generator(classes=classes, **size)


def exported(
    here: Here,
    made: TrainedGenerator,
    folder: Path,
    kind: str,
    precision: str = "fp32",
    output: str = "float32",
) -> exporter.Exported:
    """One file, measured on the device that the check runs on. Raises WganError."""
    batch = 8 if here.tiny else 256
    asked = {"precision": precision, "output": output, "max_batch": batch, "device": here.device.type}
    (artifact,) = exporter.export(made, folder, [kind], **asked)
    return artifact
