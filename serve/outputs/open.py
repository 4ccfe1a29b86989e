"""Where generated images go: the ending of ``--out`` decides.

    a folder        seed-000000.png …, a manifest, and a page of the first ones beside it: samples-grid.png
    .png            one page of all images; transparent ones on a checkerboard, which everything else leaves as RGBA
    .npy  .npz      uint8 (N, H, W, C); the .npz also holds the seeds and the labels
    .tar            a WebDataset of PNG, class and JSON files
    .gif  .webp     of frames alone: a film

All but the folder may be an object in storage, s3://bucket/images.npz.

A format names the kind where the ending does not: of a pipe, a device, stdout.

Each PNG carries the caller's text and its ``seed`` (a page its ``seeds``) as text chunks. Images that have
no seed are numbered by ``row`` of a file of latents, or by ``frame`` on the way from one seed to another.
"""

from collections.abc import Mapping
from typing import Any

from wgan.serve.base.address import Address, Place
from wgan.serve.base.errors import OutputError
from wgan.serve.outputs.arrays import NpyOutput, NpzOutput
from wgan.serve.outputs.base import Output
from wgan.serve.outputs.film import FilmOutput
from wgan.serve.outputs.kinds import kind_of
from wgan.serve.outputs.pictures import FolderOutput, GridOutput, TarOutput


def open_output(
    path: Place,
    *,
    count: int,
    first: int,
    text: Mapping[str, str],
    unit: str = "seed",
    facts: Mapping[str, Any] | None = None,
    format: str | None = None,
) -> Output:
    """Open the output for the images of seeds ``first`` … ``first + count - 1``, ``count`` at least 1.

    ``unit``: what is numbered, "seed", "row" or "frame". ``facts``: what a folder's manifest says of them; None: the
    text's model. ``format``: as `kind_of` takes it.

    Raises OutputError where the ending is unknown, nothing can be written or a folder belongs to other images: call
    it before generating.
    """
    if count < 1:
        raise OutputError(f"there is nothing to write to {path}: ask for at least 1 image")
    kind = kind_of(path, format)
    if kind == "folder" and not isinstance(path, Address):
        known = {"model_sha256": text.get("model")} if facts is None else facts
        return FolderOutput(path, count, first, text, unit, known)
    match kind:
        case "png":
            return GridOutput(path, count, first, text, unit)
        case "npy":
            return NpyOutput(path, count, first)
        case "npz":
            return NpzOutput(path, count, first, unit)
        case "tar":
            return TarOutput(path, count, first, text, unit)
    if unit != "frame":
        raise OutputError(f"cannot write {path}: films are made by --interpolate A B")
    return FilmOutput(path, count, first, text, kind)
