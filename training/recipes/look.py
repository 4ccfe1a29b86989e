"""A look at the images of a run before it begins: how many, how large, grey or transparent, in which classes."""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from wgan.serve.artifacts.find import ROOT
from wgan.serve.base.address import is_address
from wgan.serve.base.errors import DatasetError, OutputError
from wgan.serve.base.files import atomic_write
from wgan.serve.base.foreign_json import parse_json
from wgan.serve.base.terminal import counted
from wgan.training.data.bucket import look
from wgan.training.data.decode import Generated, Shape, Unreadable
from wgan.training.data.fetched import alone
from wgan.training.data.generated import nothing_else
from wgan.training.data.pick import pick
from wgan.training.data.sources import Source, check_images, open_source
from wgan.training.data.stored import Stored, looked_into

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


def look_at(data: str, *, count_faces: int, cache: Path = ROOT / ".cache") -> Look:
    """Opens some of the images that ``data`` names: `faces`, a folder, a .zip or .tar files, or an address.

    Of object storage these alone are fetched, and what was found is kept in ``cache``. Of many or large tars there the
    beginnings of some are read, and the number of all images is estimated by their size.

    Raises:
        DatasetError: there are none, or none of those looked at can be read.
        StoreError: object storage cannot be reached.
    """
    if not is_address(data):
        return _look(open_source(data, count_faces=count_faces))
    listing = look(data)
    kept = cache / f"{listing.key[:32]}.look.json"
    try:
        with alone(listing, cache):
            if (found := _read(kept)) is None:
                with looked_into(listing, cache) as (source, each):
                    check_images(source, str(listing.address))
                    found = _look(source)
                images, smallest = (max(1, round(each * n)) if n else 0 for n in (found.images, found.smallest))
                found = replace(found, images=images, smallest=smallest)
                atomic_write(kept, json.dumps(asdict(found)).encode())
    except OutputError as error:
        raise DatasetError(f"the image cache: {error}") from None
    return found


def _read(path: Path) -> Look | None:
    """What was found before."""
    with suppress(OSError, ValueError, TypeError):
        return Look(**parse_json(path.read_bytes()))
    return None


def _look(source: Source) -> Look:
    classes, smallest = None, 0
    if source.labels is not None and source.classes is not None:
        classes, smallest = len(source.classes), int(np.bincount(source.labels).min())
    if source.drawn:  # in colour, on backgrounds of their own
        return Look(len(source.names), source.side(0), classes=classes, smallest=smallest)
    sides, grey, transparent, wrong, only_own = [], [], [], "", True
    chosen = pick(len(source.names), LOOKED_AT, seed=0)
    if isinstance(source, Stored):
        source.bring(chosen.tolist())
    for index in chosen:
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
