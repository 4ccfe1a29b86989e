"""Images in a .zip, read in memory: nothing is ever unpacked to disk."""

import io
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wgan.serve.base.errors import DatasetError
from wgan.serve.outputs.folder import KIND
from wgan.serve.outputs.manifest import LONGEST, Manifest
from wgan.serve.outputs.marks import read_marks
from wgan.training.data.decode import Shape, Unreadable, decode, shorter_side
from wgan.training.data.generated import Skipped, deciding, folders_of
from wgan.training.data.listing import class_labels, fingerprint, is_image, printable

MAX_FILE = 2**28  # bytes of one file in a .zip, unpacked: 256 MiB


class Zip:
    """The images of a .zip, in the order of their paths."""

    doing = "decoding images"
    drawn = False

    def __init__(self, path: Path):
        self.name = printable(path.name)
        try:
            self._file = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            reason = error.strerror if isinstance(error, OSError) else None
            raise DatasetError(
                f"{printable(str(path))} cannot be opened as a .zip ({reason or 'it is damaged or something else'}):"
                " pass a folder or a .zip of images"
            ) from None
        members = [member for member in self._file.infolist() if not member.is_dir() and is_image(member.filename)]
        if any(member.flag_bits & 1 for member in members):
            raise DatasetError(f"{self.name} is encrypted: unpack it with its password and pass the folder")
        self._members = sorted(members, key=lambda member: member.filename)
        self.skipped = self._pass_over_folders()
        names = [member.filename for member in self._members]
        own = deciding(_inside(names), self._is_own)
        self.skipped = self.skipped.more([names[index] for index in sorted(own)])
        self._members = [member for index, member in enumerate(self._members) if index not in own]
        self.names = _without_wrapper([member.filename for member in self._members])
        self.labels, self.classes = class_labels(self.names)
        rows = [(name, m.file_size, m.CRC) for name, m in zip(self.names, self._members, strict=True)]
        self.key = fingerprint([("zip",), *rows])

    def load(self, index: int, shape: Shape) -> NDArray[np.uint8]:
        """Image ``index`` as uint8 (S, S, C). Raises `Unreadable`."""
        return decode(self._unpacked(index), shape)

    def side(self, index: int) -> int:
        """The shorter side of image ``index`` as it is stored, pixels. Raises `Unreadable`."""
        return shorter_side(self._unpacked(index))

    def _pass_over_folders(self) -> Skipped:
        """Takes out the images of folders that wgan wrote."""
        by_name = {member.filename: member for member in self._file.infolist()}

        def is_manifest(name: str) -> bool:
            with suppress(Unreadable):
                return Manifest(Path(name), KIND).parse(self._read(by_name[name], LONGEST).getvalue()) is not None
            return False

        def held(member: zipfile.ZipInfo) -> str | None:
            parts = member.filename.split("/")
            above = ["/".join(parts[:count]) for count in range(len(parts) - 1, -1, -1)]
            return above[0] if above[0] in samples else next((folder for folder in above if folder in runs), None)

        samples, runs = folders_of(by_name, is_manifest)
        if not samples and not runs:
            return Skipped()
        where = {member.filename: held(member) for member in self._members}
        self._members = [member for member in self._members if where[member.filename] is None]
        return Skipped(tuple(sorted({folder for folder in where.values() if folder is not None})))

    def _is_own(self, index: int) -> bool:
        with suppress(Unreadable):
            return read_marks(self._unpacked(index)) is not None
        return False

    def _unpacked(self, index: int) -> io.BytesIO:
        return self._read(self._members[index], MAX_FILE)

    def _read(self, member: zipfile.ZipInfo, most: int) -> io.BytesIO:
        if member.file_size > most:
            raise Unreadable(f"{member.file_size:,} bytes unpacked, more than {most:,}")
        try:
            with self._file.open(member) as file:
                data = file.read(member.file_size)  # a bare read() would unpack a bomb before its CRC is checked
        except Exception as error:  # each compression fails in its own way
            raise Unreadable(f"damaged in the .zip: {' '.join(str(error).split())}") from None
        return io.BytesIO(data)


def _without_wrapper(names: list[str]) -> list[str]:
    """Paths below the one folder that many tools wrap around an archive's content, if that has classes."""
    inner = _inside(names)
    return inner if class_labels(inner)[0] is not None else names


def _inside(names: list[str]) -> list[str]:
    """Paths below the one folder that holds them all; as they are where there is none."""
    tops = {name.split("/", 1)[0] if "/" in name else None for name in names}
    return names if len(tops) != 1 or None in tops else [name.split("/", 1)[1] for name in names]
