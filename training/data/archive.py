"""Images in a .zip, read in memory: nothing is ever unpacked to disk."""

import io
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wgan.serve.base.errors import DatasetError
from wgan.training.data.decode import Shape, Unreadable, decode, shorter_side
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

    def _unpacked(self, index: int) -> io.BytesIO:
        member = self._members[index]
        if member.file_size > MAX_FILE:
            raise Unreadable(f"{member.file_size:,} bytes unpacked, more than {MAX_FILE:,}")
        try:
            with self._file.open(member) as file:
                data = file.read(member.file_size)  # a bare read() would unpack a bomb before its CRC is checked
        except Exception as error:  # each compression fails in its own way
            raise Unreadable(f"damaged in the .zip: {' '.join(str(error).split())}") from None
        return io.BytesIO(data)


def _without_wrapper(names: list[str]) -> list[str]:
    """Paths below the one folder that many tools wrap around an archive's content."""
    tops = {name.split("/", 1)[0] if "/" in name else None for name in names}
    if len(tops) == 1 and None not in tops:
        inner = [name.split("/", 1)[1] for name in names]
        return inner if class_labels(inner)[0] is not None else names
    return names
