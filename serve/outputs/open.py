"""Where generated images go: the ending of ``--out`` decides.

    a folder        seed-000000.png … and grid.png
    .png            one page of all images; transparent ones on a checkerboard, which everything else leaves as RGBA
    .npy  .npz      uint8 (N, H, W, C); the .npz also holds the seeds and the labels
    .tar            a WebDataset of PNG and JSON files
    .gif  .webp     of frames alone: a film

Each PNG carries the caller's text and its ``seed`` (a page its ``seeds``) as text chunks. Images that have
no seed are numbered by ``row`` of a file of latents, or by ``frame`` on the way from one seed to another.
"""

from collections.abc import Mapping
from pathlib import Path

from wgan.serve.base.errors import OutputError
from wgan.serve.outputs.arrays import NpyOutput, NpzOutput
from wgan.serve.outputs.base import Output
from wgan.serve.outputs.film import FilmOutput
from wgan.serve.outputs.pictures import FolderOutput, GridOutput, TarOutput


def open_output(path: Path, *, count: int, first: int, text: Mapping[str, str], unit: str = "seed") -> Output:
    """Open the output for the images of seeds ``first`` … ``first + count - 1``, ``count`` at least 1.

    ``unit``: what is numbered, "seed", "row" or "frame".

    Raises OutputError where the ending is unknown or nothing can be written: call it before generating.
    """
    if count < 1:
        raise OutputError(f"there is nothing to write to {path}: ask for at least 1 image")
    ending = path.suffix.lower()
    if path.is_dir() or not ending[1:2].isalpha():  # a name such as step-0.5 is a folder's
        return FolderOutput(path, count, first, text, unit)
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
