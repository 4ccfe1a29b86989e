"""The bytes of each kind of file, wherever they go: on disk and over HTTP they are the same."""

import json
import tarfile
from collections.abc import Mapping, Sequence
from io import BytesIO

import numpy as np

from wgan.serve.outputs.pixels import Pixels, encode_png, grid

Text = Mapping[str, str]


def stem(unit: str, number: int) -> str:
    """The name of an image's files, without their ending: seed-000012, or the row of a file, or a frame."""
    return f"{unit}-{number:06d}"


def own_text(unit: str, number: int, label: int | None, text: Text) -> dict[str, str]:
    """What an image's file says of it: ``text``, its number and its class."""
    own = {unit: str(number)} if label is None else {unit: str(number), "label": str(label)}
    return {**text, **own}


def png_of(image: Pixels, unit: str, number: int, label: int | None, text: Text) -> bytes:
    """The PNG file of one uint8 (H, W, C)."""
    return encode_png(image, own_text(unit, number, label, text))


def page_of(images: Pixels, unit: str, numbers: Sequence[int], text: Text) -> bytes:
    """The PNG file of uint8 (N, H, W, C) on one page; of frames, a strip.

    ``numbers`` (N,) are those of the images, which need not follow one another.
    """
    columns = len(images) if unit == "frame" else None
    first, count = numbers[0], len(numbers)
    named = f"{first}..{first + count - 1}"
    if any(number != first + i for i, number in enumerate(numbers)):
        named = ", ".join(map(str, numbers))
    return encode_png(grid(images, columns), {**text, f"{unit}s": named})


def tar_members(images: Pixels, unit: str, numbers: Sequence[int], labels: Sequence[int | None], text: Text) -> bytes:
    """What uint8 (N, H, W, C) are in a WebDataset: ``seed-000000.png``, ``.cls`` and ``.json`` for each.

    The ``.cls`` is the class in digits, as WebDataset's `to_tuple("png", "cls")` takes it. An image without a class
    has none: any number there would be one.
    """
    members = []
    for number, image, label in zip(numbers, images, labels, strict=True):
        facts = {unit: number} if label is None else {unit: number, "label": label}
        members.append(_member(f"{stem(unit, number)}.png", png_of(image, unit, number, label, text)))
        if label is not None:
            members.append(_member(f"{stem(unit, number)}.cls", str(label).encode()))
        members.append(_member(f"{stem(unit, number)}.json", json.dumps(facts).encode()))
    return b"".join(members)


def tar_end(length: int) -> bytes:
    """What closes an archive whose members take ``length`` bytes."""
    return bytes(2 * tarfile.BLOCKSIZE + -(length + 2 * tarfile.BLOCKSIZE) % tarfile.RECORDSIZE)


def npy_header(dtype: type, shape: tuple[int, ...]) -> bytes:
    """What goes before the values of an array in a .npy file."""
    file = BytesIO()
    descr = np.lib.format.dtype_to_descr(np.dtype(dtype))
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
    return file.getvalue()


def _member(name: str, data: bytes) -> bytes:
    """A tar member by hand: ``tarfile.TarFile`` keeps every member it wrote in memory."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    return info.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % tarfile.BLOCKSIZE)
