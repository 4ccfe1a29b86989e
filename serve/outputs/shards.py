"""Large sets of images: files of a fixed number of images each, made by one machine or by many.

`--out faces.tar --shard-size S` writes `faces-000000.tar`, `faces-000001.tar`, …: shard j holds images j·S …
of the set, each complete alone. Beside them `faces.json` says what they were made of. A shard appears under its
name when whole, and one that is there is not made again. Machine i of k makes shards i-1, i-1+k, i-1+2k, …: a
shard's bytes do not depend on who makes it, so the union is what one machine makes.
"""

import math
import re
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from wgan.serve.base.address import Address, Place
from wgan.serve.base.errors import ConfigError, OutputError
from wgan.serve.base.files import writing
from wgan.serve.base.foreign_array import reading_array
from wgan.serve.base.streams import is_stream
from wgan.serve.outputs.encoded import stem
from wgan.serve.outputs.manifest import Manifest, difference, short
from wgan.serve.stores import entries, head, reader

ENDINGS = (".tar", ".npy", ".npz")
KIND, SCHEMA = "wgan_shards", 1
MOST = 10**6  # names have six digits


@dataclass(frozen=True)
class Part:
    """Machine ``number`` of ``of``, from 1."""

    number: int = 1
    of: int = 1

    @classmethod
    def parse(cls, text: str) -> "Part":
        """From `2/8`. Raises ConfigError."""
        match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
        number, of = (int(match[1]), int(match[2])) if match else (0, 0)
        if not 1 <= number <= of:
            raise ConfigError(f"--shard {text} is not i/k with i from 1 to k: 1/4 to 4/4 for four machines")
        return cls(number, of)


@dataclass(frozen=True)
class Shard:
    """One file: the images ``first`` … ``first + count - 1``."""

    path: Place
    first: int
    count: int


@dataclass(frozen=True)
class ShardSet:
    """Images ``first`` … ``first + count - 1`` in shards of ``size``, named after ``path``."""

    path: Place
    first: int
    count: int
    size: int
    unit: str = "seed"

    def __post_init__(self) -> None:
        if self.path.suffix.lower() not in ENDINGS:
            raise ConfigError(f"--out {self.path}: shards are {', '.join(ENDINGS)} files: name one of these")
        if self.size < 1:
            raise ConfigError(f"--shard-size {self.size} is not at least 1")
        if len(self) > MOST:
            raise ConfigError(f"--shard-size {self.size} makes more than {MOST:,} shards: ask for larger ones")

    def __len__(self) -> int:
        return min(-(-self.count // self.size), MOST + 1)  # a length may not be above 2^63 - 1

    @property
    def manifest(self) -> Place:
        """The file that says what the shards are made of."""
        return self.path.with_suffix(".json")

    def name(self, number: int) -> str:
        """Of the shard ``number``, from 0."""
        return f"{self.path.stem}-{number:06d}{self.path.suffix}"

    def __getitem__(self, number: int) -> Shard:
        if not 0 <= number < len(self):
            raise IndexError(number)
        start = number * self.size
        path = self.path.with_name(self.name(number))
        return Shard(path, self.first + start, min(self.size, self.count - start))

    def of(self, part: Part) -> range:
        """The numbers of the shards that machine ``part`` makes."""
        return range(part.number - 1, len(self), part.of)

    def claim(self, facts: Mapping[str, Any]) -> None:
        """Writes the manifest, or checks that the one that is there describes the same images.

        Raises:
            OutputError: shards of something else are there, or nothing can be written.
        """
        names = f"{self.path.stem}-{{000000..{len(self) - 1:06d}}}{self.path.suffix}"
        own = {"count": self.count, "shard_size": self.size, "first": self.first, "unit": self.unit, "names": names}
        wanted = {KIND: SCHEMA, **own, **facts}
        manifest = Manifest(self.manifest, KIND)
        claimed = manifest.read()
        if claimed is None:
            there = bool(self.present(range(len(self))))
            claimed = manifest.read()  # another machine may have begun meanwhile
            if there and claimed is None:
                raise OutputError(
                    f"shards such as {self.path.with_name(self.name(0))} are there, but not the {self.manifest} that "
                    "says what they were made of: remove them, or choose another --out"
                )
        if claimed is None:
            if manifest.create(wanted):
                return
            claimed = manifest.read() or {}
        if (key := difference(claimed, wanted)) is not None:
            raise OutputError(
                f"{self.manifest}: the shards there have {key} {short(claimed.get(key))}, not "
                f"{short(wanted.get(key))}: choose another --out, or remove them and {self.manifest.name}"
            )

    def present(self, numbers: Iterable[int]) -> set[int]:
        """Which of these shards are there, whole or not; of a bucket one listing tells it. Raises WganError."""
        if not isinstance(self.path, Address):
            return {number for number in numbers if (self.path.parent / self.name(number)).exists()}
        names = {entry.place.name for entry in entries(self.path.parent, deep=False)}
        return {number for number in numbers if self.name(number) in names}

    def has(self, shard: Shard) -> bool:
        """Whether it is there and whole, as far as its size, its beginning and its end show.

        Shards get their names when whole; this finds those that were cut off later, as by a copy.
        """
        with writing(shard.path):
            if is_stream(shard.path) or (found := head(shard.path)) is None:  # a pipe is not looked into
                return False
            try:
                with reading_array(), reader(shard.path) as file:
                    return _WHOLE[shard.path.suffix.lower()](file, found.size, shard, self.unit)
            except ValueError:
                return False


def _whole_npy(file: BinaryIO, size: int, shard: Shard, unit: str) -> bool:
    version = np.lib.format.read_magic(file)
    if version != (1, 0):  # that of wgan's own
        return False
    shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    return shape[0] == shard.count and dtype == np.uint8 and file.tell() + math.prod(shape) == size


def _whole_npz(file: BinaryIO, size: int, shard: Shard, unit: str) -> bool:
    with np.load(file, allow_pickle=False) as loaded:
        numbers = loaded[f"{unit}s"]
    return np.array_equal(numbers, np.arange(shard.first, shard.first + shard.count))


def _whole_tar(file: BinaryIO, size: int, shard: Shard, unit: str) -> bool:
    end = 2 * tarfile.BLOCKSIZE
    name = f"{stem(unit, shard.first)}.png".encode() + b"\0"
    if size % tarfile.RECORDSIZE or file.read(len(name)) != name:
        return False
    file.seek(max(0, size - end))
    return file.read() == bytes(end)


_WHOLE = {".tar": _whole_tar, ".npy": _whole_npy, ".npz": _whole_npz}
