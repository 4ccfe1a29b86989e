"""Where generated images go: the ending of ``--out`` decides.

    a folder        seed-000000.png …, a manifest, and a page of the first ones beside it: samples-grid.png
    .png            one page of all images; transparent ones on a checkerboard, which everything else leaves as RGBA
    .npy  .npz      uint8 (N, H, W, C); the .npz also holds the seeds and the labels
    .tar            a WebDataset of PNG and JSON files
    .gif  .webp     of frames alone: a film

Each PNG carries the caller's text and its ``seed`` (a page its ``seeds``) as text chunks. Images that have
no seed are numbered by ``row`` of a file of latents, or by ``frame`` on the way from one seed to another.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wgan.serve.base.errors import OutputError
from wgan.serve.outputs.arrays import NpyOutput, NpzOutput
from wgan.serve.outputs.base import Output
from wgan.serve.outputs.film import FilmOutput
from wgan.serve.outputs.pictures import FolderOutput, GridOutput, TarOutput


def is_folder(path: Path) -> bool:
    """Whether ``--out`` names a folder: one that is there, or a name such as step-0.5."""
    return path.is_dir() or not path.suffix[1:2].isalpha()


def open_output(
    path: Path,
    *,
    count: int,
    first: int,
    text: Mapping[str, str],
    unit: str = "seed",
    facts: Mapping[str, Any] | None = None,
) -> Output:
    """Open the output for the images of seeds ``first`` … ``first + count - 1``, ``count`` at least 1.

    ``unit``: what is numbered, "seed", "row" or "frame". ``facts``: what a folder's manifest says of them; None: the
    text's model.

    Raises OutputError where the ending is unknown, nothing can be written or a folder belongs to other images: call
    it before generating.
    """
    if count < 1:
        raise OutputError(f"there is nothing to write to {path}: ask for at least 1 image")
    if is_folder(path):
        known = {"model_sha256": text.get("model")} if facts is None else facts
        return FolderOutput(path, count, first, text, unit, known)
    ending = path.suffix.lower()
    match ending:
        case ".png":
            return GridOutput(path, count, first, text, unit)
        case ".npy":
            return NpyOutput(path, count, first)
        case ".npz":
            return NpzOutput(path, count, first, unit)
        case ".tar":
            return TarOutput(path, count, first, text, unit)
        case ".gif" | ".webp" if unit == "frame":
            return FilmOutput(path, count, first, text)
        case ".gif" | ".webp":
            raise OutputError(f"cannot write {path}: films are made by --interpolate A B")
    raise OutputError(f"cannot write {path}: use a folder, .png, .npy, .npz or .tar, not {ending}")
