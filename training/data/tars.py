"""Images in .tar files, as WebDataset keeps them: one file, or shards of one set.

Each image is read by its place in its tar, on any thread; nothing is unpacked. `cat/1.png` is of the class `cat`, and
`000.png` of the class that the text of `000.cls` names, if every image has such a file.
"""

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from wgan.serve.base.errors import DatasetError
from wgan.training.data.archive import Archive, check_size
from wgan.training.data.braces import missing_of
from wgan.training.data.decode import Unreadable
from wgan.training.data.listing import fingerprint, is_image, printable
from wgan.training.data.tar_index import BLOCK, Damaged, Member, compression, is_tar, members_of

LONGEST_CLASS = 100  # characters
Kinds = list[str | None] | None


class Tars(Archive[Member]):
    """The images of tars, in the order of their paths, whichever tar each lies in.

    Where two tars hold the same path, all images are called after their tars too, and come tar by tar.

    Args:
        paths: of the tars, in their order.
        name: of them all, for a report.
        shown: what each is called in errors; by default its path.
    """

    def __init__(self, paths: Sequence[Path], name: str, shown: Sequence[str] | None = None):
        self._paths = paths
        called = [str(path) for path in paths] if shown is None else shown
        found: dict[tuple[int, str], Member] = {}
        rows: list[tuple[object, ...]] = [("tar",)]
        for number, path in enumerate(paths):
            # a path that is there twice has been replaced, as `tar -r` does it
            found |= {(number, member.name): member for member in _listed(path, number, printable(called[number]))}
            status = path.stat()
            # a tar has no checksums of what it holds; of other tars names, sizes and times may be the same
            rows.append((str(path.resolve()), status.st_size, status.st_mtime_ns))
        texts = {place: member.text for place, member in found.items() if member.name.endswith(".cls")}
        files = [member for member in found.values() if not member.name.endswith(".cls")]
        of_images = [member.name for member in files if is_image(member.name)]
        clash = len(set(of_images)) < len(of_images)
        files.sort(key=lambda member: (member.archive if clash else 0, member.name))

        def kinds(images: Sequence[Member]) -> Kinds:
            return _classes(images, texts, [PurePosixPath(name).name for name in called]) if texts else None

        super().__init__(printable(name), files, kinds, _numbers_first)
        if clash:
            base = os.path.commonpath([PurePosixPath(name).parent for name in called])
            tars = [PurePosixPath(name).relative_to(base).as_posix() for name in called]
            self.names = [f"{tars[m.archive]}/{name}" for m, name in zip(self._members, self.names, strict=True)]
        self.key = fingerprint([*rows, *((name,) for name in self.names)])

    def _read(self, member: Member, most: int) -> io.BytesIO:
        if member.why:
            raise Unreadable(member.why)
        check_size(member.size, most)
        try:
            with self._paths[member.archive].open("rb") as file:  # of thousands of tars few are open
                file.seek(member.offset)
                data = file.read(member.size)
        except OSError as error:
            raise Unreadable(error.strerror or str(error)) from None
        if len(data) < member.size:
            raise Unreadable("the .tar has been cut off")
        return io.BytesIO(data)


def names_a_tar(path: Path) -> bool:
    """Whether a file is one: by its name, or by how it begins. Also a compressed one. Raises DatasetError."""
    if path.name.lower().endswith((".tar", ".tgz", ".tbz", ".txz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst")):
        return True
    try:
        with path.open("rb") as file:
            return is_tar(file.read(BLOCK))
    except OSError:  # whoever opens it next says so
        return False


def check_there(paths: Sequence[Path], shown: str) -> None:
    """Refuses tars of which some are missing.

    Raises:
        DatasetError: how many are, and the first.
    """
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise DatasetError(missing_of(shown, len(paths), len(missing), printable(str(missing[0]))))


def _listed(path: Path, number: int, shown: str) -> list[Member]:
    """What is in a tar. Raises DatasetError."""
    try:
        with path.open("rb") as file:
            packed = compression(file.read(BLOCK))
            if packed is not None:
                raise DatasetError(
                    f"{shown} is compressed with {packed}, and images are read out of a tar by their places in it: "
                    "unpack it to a plain .tar (pictures hardly get smaller anyway)"
                )
            return list(members_of(file, file.seek(0, os.SEEK_END), number))
    except Damaged as damage:
        raise DatasetError(f"{shown} {damage}: fetch or make it again, or leave it out") from None
    except OSError as error:
        raise DatasetError(f"{shown} cannot be read: {error.strerror or error}") from None


def _classes(images: Sequence[Member], texts: Mapping[tuple[int, str], bytes | None], tars: Sequence[str]) -> Kinds:
    """The text of each image's `.cls`, None where it has none; None where no image has one. Raises DatasetError."""
    kinds: list[str | None] = []
    for member in images:
        places = [(member.archive, f"{stem}.cls") for stem in _stems(member.name)]
        place = next((place for place in places if place in texts), None)
        kinds.append(None if place is None else _class(texts[place], f"{place[1]} in {tars[member.archive]}"))
    return kinds if any(kind is not None for kind in kinds) else None


def _class(text: bytes | None, shown: str) -> str:
    """A number or a name. Raises DatasetError."""
    try:
        name = "" if text is None else text.decode().strip()
    except UnicodeDecodeError:
        name = ""
    if not name or not name.isprintable() or len(name) > LONGEST_CLASS:
        raise DatasetError(f"{printable(shown)} names no class: it must hold a number or a short text, and no more")
    return str(int(name)) if name.isascii() and name.isdecimal() else name


def _stems(name: str) -> tuple[str, str]:
    """What the files of one sample share: all before the last dot, or as WebDataset has it before the first."""
    folder, slash, file = name.rpartition("/")
    return name.rpartition(".")[0], f"{folder}{slash}{file.split('.', 1)[0]}"


def _numbers_first(name: str) -> tuple[bool, int, str]:
    """Classes 2 and 10 in this order."""
    return (False, int(name), "") if name.isascii() and name.isdecimal() else (True, 0, name)
