"""The images of a run: opened by name, decoded once, ready as 8-bit pixels."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wgan.serve.base.address import is_address
from wgan.serve.base.errors import DatasetError
from wgan.serve.base.terminal import counted
from wgan.training.data import faces
from wgan.training.data.cache import Cached, ProgressFn, load_or_build
from wgan.training.data.decode import Shape
from wgan.training.data.generated import nothing_else
from wgan.training.data.listing import printable
from wgan.training.data.sources import Faces, Source, open_source
from wgan.training.data.stored import Known, open_stored

FACE_SIZES = (8, 16, 32, 64, 128, 256)


@dataclass(frozen=True)
class ImageSet:
    """Images of one size, with or without labels."""

    images: NDArray[np.uint8]  # (N, H, W, C), may be a read-only memory map
    labels: NDArray[np.int64] | None  # (N,)
    classes: tuple[str, ...] | None
    name: str  # what to call it in a report
    digest: str  # of the content: the same wherever it lay and however it was packed
    broken: tuple[str, ...] = ()  # files that were skipped, "path: reason"
    contents: bytes | None = None  # names with digests, as `contents.pack` has them; None for drawn images
    skipped: str | None = None  # a line about what wgan itself made, which is left out

    def __len__(self) -> int:
        return len(self.images)


def open_images(
    data: str,
    shape: Shape,
    *,
    cache_dir: Path,
    max_broken_share: float = 0.05,
    count_faces: int = 8192,
    progress: ProgressFn | None = None,
) -> ImageSet:
    """The training images that ``data`` names: `faces`, a folder, a .zip or .tar files, or an address.

    The first time they are decoded into ``cache_dir``, and fetched before that from object storage; after that it
    takes a moment. Files that cannot be
    read are skipped, listed in ``broken`` and in a `.broken.txt` beside the cache. So is what wgan itself made.

    Raises:
        DatasetError: nothing there, no images, too many broken ones, or no room for the cache.
        StoreError: object storage cannot be reached.
    """
    if is_address(data):
        cached, known = open_stored(data, shape, cache_dir, progress)
        return _checked(cached, known, max_broken_share)
    source = open_source(data, count_faces=count_faces)
    return _open(source, shape, cache_dir, max_broken_share, progress)


def held_out(
    data: str, *, image_size: int, channels: int, cache_dir: Path, count: int, progress: ProgressFn | None = None
) -> ImageSet | None:
    """Faces that no training set holds; None for other data, which is trained on whole."""
    if data != "faces":
        return None
    return _open(Faces(count, faces.HELD_OUT), Shape(image_size, channels, "crop"), cache_dir, 0.0, progress)


def check_faces(image_size: int, channels: int) -> None:
    """Refuses images that the built-in faces are not drawn as.

    Raises:
        DatasetError: a side that they are not drawn at, or transparency.
    """
    if image_size not in FACE_SIZES:
        raise DatasetError(f"faces are drawn at {', '.join(map(str, FACE_SIZES))} pixels, not {image_size}")
    if channels == 4:
        raise DatasetError("the built-in faces have no transparency to keep: use channels=3, or images of your own")


def _open(
    source: Source, shape: Shape, cache_dir: Path, max_broken_share: float, progress: ProgressFn | None
) -> ImageSet:
    if isinstance(source, Faces):
        check_faces(shape.image_size, shape.channels)
    cached = load_or_build(source, shape, cache_dir, progress)
    known = Known(source.name, len(source.names), source.classes, source.skipped)
    return _checked(cached, known, max_broken_share)


def _checked(cached: Cached, source: Known, max_broken_share: float) -> ImageSet:
    total, bad = source.images - cached.generated[0], len(cached.broken)
    if total == 0:
        raise nothing_else(source.name)
    if bad > max_broken_share * total or bad == total:
        raise DatasetError(
            f"{bad:,} of {counted(total, 'image')} in {source.name} cannot be read, the first is {cached.broken[0]}; "
            f"all are in {printable(str(cached.report))}: mend or remove them, "
            f"or raise max_broken ({max_broken_share:g})"
        )
    labels = None if cached.labels is None else np.array(cached.labels, np.int64)
    return ImageSet(
        cached.images,
        labels,
        source.classes,
        source.name,
        cached.digest,
        cached.broken,
        cached.contents,
        source.skipped.plus(*cached.generated).told(),
    )
