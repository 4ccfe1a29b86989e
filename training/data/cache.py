"""Decoded images on disk: `KEY.npy` of uint8 pixels, with `KEY.json`, `KEY.names.gz` and `KEY.broken.txt` beside it.

The .json is written last and vouches for the .npy and the names, so a build that was cut short is no cache. Each
file is written under a name of its own and then renamed: two builders at once end with one whole cache.
"""

import hashlib
import json
import warnings
import zlib
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from wgan.serve.base.errors import DatasetError, OutputError
from wgan.serve.base.files import atomic_path, atomic_write
from wgan.serve.base.foreign_array import reading_array
from wgan.serve.base.foreign_json import parse_json
from wgan.serve.base.pipeline import Pipeline
from wgan.training.data import contents
from wgan.training.data.decode import Generated, Shape, Unreadable
from wgan.training.data.listing import printable
from wgan.training.data.sources import Source

VERSION = 2  # 1 kept pictures that wgan made
CHUNK = 64  # images between calls of the progress function
PROBES, PROBE = 64, 2**20  # blocks, bytes

ProgressFn = Callable[[int, int, str], None]  # done, total, what
Loaded = NDArray[np.uint8] | Unreadable


@dataclass(frozen=True)
class Cached:
    """What a cache holds."""

    images: NDArray[np.uint8]  # (N, S, S, C), a read-only memory map
    labels: list[int] | None
    broken: tuple[str, ...]  # "path: reason"
    generated: tuple[int, str]  # how many of the source's images wgan made, and the name of one; they are left out
    digest: str  # SHA-256 of pixels, labels and classes; of the recipe, if they are drawn
    report: Path  # lists the broken files; exists if there are any
    contents: bytes | None  # names with digests, as `contents.pack` has them; None if the images are drawn


def load_or_build(source: Source, shape: Shape, folder: Path, progress: ProgressFn | None = None) -> Cached:
    """The source's images in this shape: from the cache, or decoded into it.

    Raises:
        DatasetError: the cache cannot be written.
    """
    base = _base(source.key, shape, folder)
    cached = _load(base, source.drawn)
    if cached is None:
        try:
            _build(source, shape, base, progress)
        except OutputError as error:
            raise DatasetError(f"the image cache: {error}") from None
        cached = _load(base, source.drawn)
    if cached is None:
        raise DatasetError(f"the image cache in {printable(str(folder))} does not keep what is written: check the disk")
    return cached


def load(key: str, shape: Shape, folder: Path) -> Cached | None:
    """The images of a source that had this key, where they are decoded and whole. They are not drawn ones."""
    return _load(_base(key, shape, folder), drawn=False)


def _base(key: str, shape: Shape, folder: Path) -> Path:
    recipe = repr((VERSION, key, asdict(shape)))
    return folder / hashlib.sha256(recipe.encode()).hexdigest()[:32]


def _load(base: Path, drawn: bool) -> Cached | None:
    """A whole cache, or None."""
    try:
        meta = parse_json(base.with_suffix(".json").read_bytes())
        path, shape = base.with_suffix(".npy"), tuple(meta["shape"])
        if _probe(path) != meta["crc"]:
            return None
        # a file without pixels cannot be mapped
        with reading_array():
            images = np.load(path, mmap_mode="r") if shape[0] else np.empty(shape, np.uint8)
        if images.shape != shape or images.dtype != np.uint8:
            return None
        names = None if drawn else _names(base).read_bytes()
        if names is not None and zlib.crc32(names) != meta["names_crc"]:  # earlier versions kept none
            return None
        generated = int(meta["generated"][0]), str(meta["generated"][1])
        return Cached(images, meta["labels"], tuple(meta["broken"]), generated, meta["digest"], _report(base), names)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _report(base: Path) -> Path:
    return base.with_suffix(".broken.txt")


def _names(base: Path) -> Path:
    return base.with_suffix(".names.gz")


def _build(source: Source, shape: Shape, base: Path, progress: ProgressFn | None) -> None:
    kept: list[int] = []
    each: list[str] = []  # image's digest
    broken: list[str] = []
    generated: list[str] = []
    digest = hashlib.sha256(source.key.encode() if source.drawn else b"")
    size = (shape.image_size, shape.image_size, shape.channels)
    pixels_path = base.with_suffix(".npy")
    with (
        warnings.catch_warnings(),
        atomic_path(pixels_path) as temporary,
        temporary.open("wb") as file,
        closing(_load_all(source, shape, progress)) as images,
    ):
        warnings.filterwarnings("ignore", module="PIL")  # what matters of a broken file is in its report
        _write_header(file, (0, *size))
        start = file.tell()
        for index, image in enumerate(images):
            if isinstance(image, Generated):
                generated.append(printable(source.names[index]))
                continue
            if isinstance(image, Unreadable):
                broken.append(printable(f"{source.names[index]}: {image}"))
                continue
            kept.append(index)
            pixels = image.tobytes()
            if not source.drawn:  # drawn pixels differ a little between versions of Pillow
                digest.update(pixels)
                each.append(hashlib.blake2b(pixels, digest_size=contents.DIGITS // 2).hexdigest())
            file.write(pixels)
        file.seek(0)
        _write_header(file, (len(kept), *size))
        if file.tell() != start:
            raise AssertionError("numpy keeps room in a header for the length to grow")
    labels = None if source.labels is None else [source.labels[index] for index in kept]
    digest.update(repr((size, labels, source.classes)).encode())
    if broken:
        atomic_write(_report(base), "".join(f"{line}\n" for line in broken).encode())
    names = b"" if source.drawn else contents.pack((source.names[i] for i in kept), each, digest.hexdigest())
    if not source.drawn:
        atomic_write(_names(base), names)
    meta = {
        "source": source.name,
        "shape": [len(kept), *size],
        "crc": _probe(pixels_path),
        "names_crc": zlib.crc32(names),
        "digest": digest.hexdigest(),
        "broken": broken,
        "generated": [len(generated), generated[0] if generated else ""],
        "labels": labels,
    }
    atomic_write(base.with_suffix(".json"), json.dumps(meta).encode())


def _load_all(source: Source, shape: Shape, progress: ProgressFn | None) -> Generator[Loaded, None, None]:
    """Every image in order, a bounded number ahead."""

    def load(index: int) -> Loaded:
        try:
            return source.load(index, shape)
        except Unreadable as error:
            return error

    total = len(source.names)
    # Pillow decodes and resizes without the interpreter's lock, but draws with it
    pipeline: Pipeline[Loaded] = Pipeline(1 if source.drawn else None)
    try:
        for index in range(total):
            if progress is not None and index % CHUNK == 0:
                progress(index, total, source.doing)
            yield from pipeline.put(partial(load, index))
        yield from pipeline.finish()
    finally:
        pipeline.stop()
    if progress is not None:
        progress(total, total, source.doing)


def _write_header(file: IO[bytes], shape: tuple[int, ...]) -> None:
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def _probe(path: Path) -> int:
    """CRC of a file's length and of blocks spread over it: all of a small file, soon done with a large one."""
    size = path.stat().st_size
    crc = zlib.crc32(str(size).encode())
    stride = max(PROBE, (size - PROBE) // (PROBES - 1))
    with path.open("rb") as file:
        for start in range(0, size, stride):
            file.seek(start)
            crc = zlib.crc32(file.read(PROBE), crc)
    return crc
