"""Images in archives, read in memory: nothing is ever unpacked to disk."""

import io
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from wgan.serve.base.errors import DatasetError, WganError
from wgan.serve.outputs.manifest import LONGEST
from wgan.serve.outputs.marks import read_marks
from wgan.training.data.decode import Shape, Unreadable, decode, shorter_side
from wgan.training.data.generated import deciding, outside_of_own
from wgan.training.data.listing import class_labels, fingerprint, is_image, labels_of, printable, top_folders

MAX_FILE = 2**28  # bytes of one file in an archive, unpacked: 256 MiB


class Named(Protocol):
    """A file in an archive."""

    @property
    def name(self) -> str:
        """Its path in the archive."""


Member = TypeVar("Member", bound=Named)


class Archive(ABC, Generic[Member]):
    """Images of archives.

    Args:
        name: of the archives, for a report.
        members: their files, in the order in which the images are to come.
        kinds: gives the class of each image by its own file's word; None: classes are folders.
        order: of such classes.
    """

    doing = "decoding images"
    drawn = False
    key: str

    def __init__(
        self,
        name: str,
        members: Sequence[Member],
        kinds: Callable[[Sequence[Member]], list[str | None] | None] = lambda _: None,
        order: Callable[[str], object] = str,
    ):
        self.name = name
        images = [member for member in members if is_image(member.name)]
        by_name = {member.name: member for member in members}
        kept, self.skipped = outside_of_own(
            [member.name for member in images], by_name, lambda path: self._content(by_name.get(path))
        )
        self._members = [images[index] for index in kept]
        inside = _inside([member.name for member in self._members])
        told = kinds(self._members)
        own = deciding(inside, self._is_own, top_folders(inside) if told is None else told)
        self.skipped = self.skipped.more([self._members[index].name for index in sorted(own)])
        self._members = [member for index, member in enumerate(self._members) if index not in own]
        self.names = _without_wrapper([member.name for member in self._members])
        self.labels, self.classes = class_labels(self.names)
        if told is not None:
            labels, classes = labels_of([kind for index, kind in enumerate(told) if index not in own], order)
            if labels is not None:
                self.labels, self.classes = labels, classes

    @abstractmethod
    def _read(self, member: Member, most: int) -> io.BytesIO:
        """The content of a file that has at most ``most`` bytes. Raises `Unreadable`."""

    def load(self, index: int, shape: Shape) -> NDArray[np.uint8]:
        """Image ``index`` as uint8 (S, S, C). Raises `Unreadable`."""
        return decode(self._read(self._members[index], MAX_FILE), shape)

    def side(self, index: int) -> int:
        """The shorter side of image ``index`` as it is stored, pixels. Raises `Unreadable`."""
        return shorter_side(self._read(self._members[index], MAX_FILE))

    def _content(self, member: Member | None) -> bytes | None:
        """Of a small file; None where it cannot be read."""
        with suppress(Unreadable):
            return None if member is None else self._read(member, LONGEST).getvalue()
        return None

    def _is_own(self, index: int) -> bool:
        with suppress(Unreadable):
            return read_marks(self._read(self._members[index], MAX_FILE)) is not None
        return False


class _InZip:
    """A file in a .zip."""

    __slots__ = ("info", "name")

    def __init__(self, info: zipfile.ZipInfo):
        self.info, self.name = info, info.filename


class Zip(Archive[_InZip]):
    """The images of a .zip, in the order of their paths.

    Args:
        file: its path, or the open file.
        shown: what to call it in errors.
        name: what to call it in a report.
    """

    def __init__(self, file: Path | BinaryIO, shown: str, name: str):
        try:
            self._file = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            reason = error.strerror if isinstance(error, OSError) else None
            raise DatasetError(
                f"{shown} cannot be opened as a .zip ({reason or 'it is damaged or something else'}):"
                " pass a folder, a .zip or .tar files of images"
            ) from None
        members = [_InZip(info) for info in self._file.infolist() if not info.is_dir()]
        if any(member.info.flag_bits & 1 for member in members if is_image(member.name)):
            raise DatasetError(f"{printable(name)} is encrypted: unpack it with its password and pass the folder")
        super().__init__(printable(name), sorted(members, key=lambda member: member.name))
        infos = [member.info for member in self._members]
        rows = [(name, info.file_size, info.CRC) for name, info in zip(self.names, infos, strict=True)]
        self.key = fingerprint([("zip",), *rows])

    def _read(self, member: _InZip, most: int) -> io.BytesIO:
        info = member.info
        check_size(info.file_size, most)
        try:
            with self._file.open(info) as file:
                data = file.read(info.file_size)  # a bare read() would unpack a bomb before its CRC is checked
        except WganError:  # of the storage that it lies in
            raise
        except Exception as error:  # each compression fails in its own way
            raise Unreadable(f"damaged in the .zip: {' '.join(str(error).split())}") from None
        return io.BytesIO(data)


def check_size(size: int, most: int) -> None:
    """Refuses a file of ``size`` bytes, unpacked, where they are more than ``most``. Raises `Unreadable`."""
    if size > most:
        raise Unreadable(f"{size:,} bytes unpacked, more than {most:,}")


def _without_wrapper(names: list[str]) -> list[str]:
    """Paths below the one folder that many tools wrap around an archive's content, if that has classes."""
    inner = _inside(names)
    return inner if class_labels(inner)[0] is not None else names


def _inside(names: list[str]) -> list[str]:
    """Paths below the one folder that holds them all; as they are where there is none."""
    tops = {name.split("/", 1)[0] if "/" in name else None for name in names}
    return names if len(tops) != 1 or None in tops else [name.split("/", 1)[1] for name in names]
