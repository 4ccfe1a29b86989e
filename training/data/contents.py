"""Which images a data set holds: their names with a digest of the pixels of each, to say later what has changed."""

import gzip
import io
import json
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from wgan.serve.base.foreign_json import parse_json

SCHEMA = 1
DIGITS = 16  # hex digits of an image's digest: other pixels pass for the same once in 2⁶⁴
MOST = 2**30  # bytes unpacked: some ten million images
LEVEL = 3  # of compression: a third of the time of the usual 6, and hardly larger

Contents = Mapping[str, str]  # name → digest


def pack(names: Iterable[str], pixels: Iterable[str], digest: str) -> bytes:
    """A file of these images, the same bytes for the same images.

    Args:
        names: of the images, paths below the data's folder.
        pixels: a digest of `DIGITS` hex digits for each of them.
        digest: of the whole data set.
    """
    text = json.dumps({"schema": SCHEMA, "digest": digest, "names": list(names), "pixels": "".join(pixels)})
    return gzip.compress(text.encode(), LEVEL, mtime=0)


def unpack(packed: bytes, digest: str) -> Contents | None:
    """What `pack` made a file of; None where it is damaged, of another data set than ``digest`` or of a later schema.

    Of an archive that holds a name twice, the digests of both are one.
    """
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(packed)) as file:
            held = parse_json(file.read(MOST))
        names, pixels = held["names"], held["pixels"]
        whole = held["schema"] == SCHEMA and held["digest"] == digest and len(pixels) == DIGITS * len(names)
        found: dict[str, str] = {}
        for index, name in enumerate(names if whole else ()):
            found[name] = found.get(name, "") + pixels[DIGITS * index : DIGITS * (index + 1)]
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError):
        return None
    return found if whole and all(isinstance(name, str) for name in found) else None


def read(path: Path, digest: str) -> Contents | None:
    """`unpack` of a file; None where there is none."""
    try:
        return unpack(path.read_bytes(), digest)
    except OSError:
        return None
