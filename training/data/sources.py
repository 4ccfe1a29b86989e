"""Where images come from: a folder, a .zip, .tar files or the built-in faces, each as a numbered list."""

import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wgan.serve.base.errors import DatasetError
from wgan.serve.base.paths import named_place
from wgan.serve.outputs.marks import IMAGES, read_marks
from wgan.training.data import faces
from wgan.training.data.archive import Zip
from wgan.training.data.braces import expanded, has_braces
from wgan.training.data.decode import Shape, Unreadable, decode, shorter_side
from wgan.training.data.generated import Skipped, check_root, deciding, is_run, is_samples, nothing_else
from wgan.training.data.listing import class_labels, fingerprint, is_image, printable
from wgan.training.data.tars import Tars, check_there, names_a_tar

FACE_SIDE = 64  # pixels


class Source(Protocol):
    """A numbered list of images. ``key`` changes whenever the list, or what is behind it, does."""

    name: str  # for a report
    key: str  # hex
    doing: str  # what loading it is called in a progress bar
    drawn: bool  # by this program: ``key`` then stands for the pixels too, and threads do not help
    names: list[str]
    labels: list[int] | None
    classes: tuple[str, ...] | None
    skipped: Skipped  # what wgan itself made, as far as that is seen before images are decoded

    def load(self, index: int, shape: Shape) -> NDArray[np.uint8]:
        """Image ``index`` as uint8 (S, S, C). Raises `Unreadable`."""

    def side(self, index: int) -> int:
        """The shorter side of image ``index`` as it is stored, pixels. Raises `Unreadable`."""


class Files(ABC):
    """Images that are files of their own."""

    doing = "decoding images"
    drawn = False

    @abstractmethod
    def _open(self, index: int) -> AbstractContextManager[BinaryIO]:
        """The file of image ``index``. Raises `Unreadable`."""

    def load(self, index: int, shape: Shape) -> NDArray[np.uint8]:
        """Image ``index`` as uint8 (S, S, C). Raises `Unreadable`."""
        with self._open(index) as file:
            return decode(file, shape)

    def side(self, index: int) -> int:
        """The shorter side of image ``index`` as it is stored, pixels. Raises `Unreadable`."""
        with self._open(index) as file:
            return shorter_side(file)

    def _is_own(self, index: int) -> bool:
        with suppress(Unreadable), self._open(index) as file:
            return read_marks(file) is not None
        return False


class Folder(Files):
    """Images below a folder, in the order of their paths."""

    def __init__(self, root: Path):
        self.name = printable(root.resolve().name)
        self._root = root
        self._own_folders: list[str] = []
        listing = sorted(self._files())
        self.names = [name for name, _, _ in listing]
        own = deciding(self.names, self._is_own)
        self.skipped = Skipped(tuple(self._own_folders)).more([self.names[index] for index in sorted(own)])
        listing = [row for index, row in enumerate(listing) if index not in own]
        self.names = [name for name, _, _ in listing]
        self.labels, self.classes = class_labels(self.names)
        # the place too: files of another folder may agree in names, sizes and times
        self.key = fingerprint([("folder", str(root.resolve())), *listing])

    def _files(self) -> Iterator[tuple[str, int, int]]:
        seen = set()
        for folder, below, files in os.walk(self._root, followlinks=True, onerror=self._unreadable):
            place = os.stat(folder)  # noqa: PTH116 - os.walk deals in text
            if (place.st_dev, place.st_ino) in seen:
                below.clear()  # links that lead in a circle
                continue
            seen.add((place.st_dev, place.st_ino))
            below[:] = sorted(name for name in below if not name.startswith(".") and name != "__MACOSX")
            if is_run(files) or is_samples(Path(folder), files):
                self._own_folders.append(Path(folder).relative_to(self._root).as_posix())
                if is_run(files):
                    below.clear()
                continue
            for file in files:
                path = Path(folder, file)
                name = path.relative_to(self._root).as_posix()
                if is_image(name):
                    try:
                        status = path.stat()
                    except OSError:  # a link to nowhere: `load` will say so
                        yield name, -1, -1
                        continue
                    if stat.S_ISREG(status.st_mode):  # a pipe would never end
                        yield name, status.st_size, status.st_mtime_ns

    def _unreadable(self, error: OSError) -> None:
        raise DatasetError(f"{printable(str(error.filename))} cannot be listed: {error.strerror}")

    @contextmanager
    def _open(self, index: int) -> Iterator[BinaryIO]:
        try:
            with (self._root / self.names[index]).open("rb") as file:
                yield file
        except OSError as error:
            raise Unreadable(error.strerror or str(error)) from None


class Faces:
    """The built-in faces ``first`` to ``first + count - 1``."""

    doing = "drawing faces"
    drawn = True
    skipped = Skipped()

    def __init__(self, count: int, first: int = 0):
        self._first = first
        self.name = "faces" if first == 0 else "faces, held out"
        self.names = [f"face {first + i}" for i in range(count)]
        self.labels: list[int] | None = [(first + i) % len(faces.CLASSES) for i in range(count)]
        self.classes: tuple[str, ...] | None = faces.CLASSES
        self.key = fingerprint([("faces", faces.VERSION, first, count)])

    def load(self, index: int, shape: Shape) -> NDArray[np.uint8]:
        """Image ``index`` as uint8 (S, S, C)."""
        image, _ = faces.draw_face(self._first + index, shape.image_size)
        if shape.channels == 3:
            return image
        return np.asarray(Image.fromarray(image).convert("L"))[..., None]

    def side(self, index: int) -> int:
        """What they are usually drawn at, pixels."""
        return FACE_SIDE


def open_source(data: str, *, count_faces: int) -> Source:
    """The source that ``data`` names: `faces`, a folder, a .zip, or .tar files.

    Raises:
        DatasetError: there is none, it holds no image but wgan's own, or it cannot be opened.
    """
    if data == "faces":
        return Faces(count_faces)
    path, shown = named_place(data, "data"), printable(data)
    assert isinstance(path, Path)  # `stored` opens what lies elsewhere
    source: Source
    if path.is_dir():
        check_root(path, shown)
        source = Folder(path)
        tars = [] if source.names or source.skipped.told() else sorted(path.glob("*.tar"))
        source = Tars(tars, path.resolve().name) if tars else source
    elif path.is_file():
        source = Tars([path], path.name) if names_a_tar(path) else Zip(path, shown, path.name)
    elif has_braces(str(path)):
        paths = [Path(name) for name in expanded(str(path))]
        check_there(paths, shown)
        source = Tars(paths, path.name)
    else:
        raise DatasetError(f"no folder, .zip or .tar file {shown!r}; the built-in dataset is `faces`")
    check_images(source, shown)
    return source


def check_images(source: Source, shown: str) -> None:
    """Raises DatasetError where there are no images, or none but wgan's own."""
    if not source.names:
        if source.skipped.told() is not None:
            raise nothing_else(shown)
        raise DatasetError(f"{shown} holds no images (looked for {', '.join(IMAGES)})")
