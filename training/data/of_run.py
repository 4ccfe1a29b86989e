"""The images of a run: those it trains on, and the real ones that validation compares with."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wgan.serve.base.errors import DatasetError
from wgan.serve.base.progress import counter
from wgan.serve.base.terminal import counted
from wgan.training.config import Config
from wgan.training.config.colour import rgb
from wgan.training.data import ImageSet, held_out, open_images
from wgan.training.data.decode import Shape
from wgan.training.data.pick import pick

LOOKED_AT = 256  # images


@dataclass(frozen=True)
class Reference:
    """Real images that validation compares with: uint8 (N, H, W, C), and their labels (N,) if there are classes."""

    images: np.ndarray
    labels: np.ndarray | None


def nothing_transparent(images: ImageSet) -> str | None:
    """A line where ``channels=4`` keeps a transparency that none of the images has; None otherwise."""
    if images.images.shape[-1] != 4:
        return None
    looked_at = pick(len(images), LOOKED_AT, seed=0)
    if any((images.images[index, ..., 3] < 255).any() for index in looked_at):
        return None
    seen = counted(len(looked_at), "image")
    return f"channels=4: none of {seen} that were looked at is transparent; channels=3 is enough"


def open_data(config: Config, cache: Path) -> tuple[ImageSet, Reference]:
    """The training images, and the real images that validation compares with.

    Faces are held out for that; of a user's own images none is kept from training, so there the
    reference is drawn from the training images.
    """
    with counter() as progress:
        images = open_images(
            config.data,
            Shape(config.image_size, config.channels, config.fit, rgb(config.background)),
            cache_dir=cache,
            max_broken_share=config.max_broken,
            count_faces=config.faces_count,
            progress=progress,
        )
        unseen = held_out(
            config.data,
            image_size=config.image_size,
            channels=config.channels,
            cache_dir=cache,
            count=config.validate_images,
            progress=progress,
        )
    if len(images.images) < config.batch_size:
        raise DatasetError(
            f"{config.data} has {len(images.images)} usable images, fewer than one batch of "
            f"{config.batch_size}: add images or lower batch_size"
        )
    if config.conditional and images.classes is None:
        raise DatasetError(
            f"conditional: {config.data} has no classes: put every image into one of two or more folders, "
            "named after its class"
        )
    if unseen is not None:
        return images, Reference(unseen.images, unseen.labels)
    chosen = pick(len(images.images), config.validate_images, config.seed)
    labels = None if images.labels is None else images.labels[chosen]
    return images, Reference(np.asarray(images.images[chosen]), labels)
