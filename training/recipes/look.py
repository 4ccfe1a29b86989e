"""A look at the images of a run before it begins: how many, how large, grey or transparent, in which classes."""

from dataclasses import dataclass

import numpy as np

from wgan.serve.base.errors import DatasetError
from wgan.serve.base.terminal import counted
from wgan.training.data.decode import Generated, Shape, Unreadable
from wgan.training.data.generated import nothing_else
from wgan.training.data.pick import pick
from wgan.training.data.sources import open_source

LOOKED_AT = 64  # images that are opened
SHAPE = Shape(32, 4, "squash")
HIDDEN = 128  # alpha below which a pixel counts as transparent


@dataclass(frozen=True)
class Look:
    """What was found.

    Args:
        images: files, before any is found to be broken.
        side: median of the shorter side, pixels.
        grey: share of the images without colour.
        transparent: share of the images with transparent parts.
        classes: class folders; None where the images lie otherwise.
        smallest: images in the smallest class.
    """

    images: int
    side: int
    grey: float = 0.0
    transparent: float = 0.0
    classes: int | None = None
    smallest: int = 0


def look_at(data: str, *, count_faces: int) -> Look:
    """Opens some of the images that ``data`` names: `faces`, a folder, a .zip or .tar files.

    Raises:
        DatasetError: there are none, or none of those looked at can be read.
    """
    source = open_source(data, count_faces=count_faces)
    classes, smallest = None, 0
    if source.labels is not None and source.classes is not None:
        classes, smallest = len(source.classes), int(np.bincount(source.labels).min())
    if source.drawn:  # in colour, on backgrounds of their own
        return Look(len(source.names), source.side(0), classes=classes, smallest=smallest)
    sides, grey, transparent, wrong, only_own = [], [], [], "", True
    for index in pick(len(source.names), LOOKED_AT, seed=0):
        try:
            pixels = source.load(int(index), SHAPE)
            sides.append(source.side(int(index)))
        except Unreadable as error:
            only_own &= isinstance(error, Generated)
            wrong = wrong or f"{source.names[index]}: {error}"
            continue
        seen = pixels[pixels[..., 3] >= HIDDEN][:, :3].astype(np.int16)  # (n, 3)
        grey.append(bool((np.ptp(seen, axis=1) <= 2).all()) if len(seen) else True)
        transparent.append(bool((pixels[..., 3] < HIDDEN).any()))
    if not sides:
        if only_own:
            raise nothing_else(source.name)
        tried = min(LOOKED_AT, len(source.names))
        raise DatasetError(f"none of {counted(tried, 'image')} in {source.name} can be read, the first is {wrong}")
    return Look(
        images=len(source.names),
        side=int(np.median(sides)),
        grey=float(np.mean(grey)),
        transparent=float(np.mean(transparent)),
        classes=classes,
        smallest=smallest,
    )
