"""What wgan itself made is no data: folders of generated images, run folders, and single pictures wherever they lie.

A folder is known by its manifest or by the files that every run has, a picture by the text in its file. The text is
read where a file is decoded anyway; before that only of those pictures that would make or break class folders.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from wgan.serve.base.errors import DatasetError, OutputError
from wgan.serve.base.terminal import counted
from wgan.serve.outputs.folder import FILE, KIND, called, manifest_of
from wgan.serve.outputs.manifest import Manifest
from wgan.serve.outputs.marks import MARKED
from wgan.training.data.changes import short, some
from wgan.training.data.listing import top_folders

RUN = ("run.json", "metrics.jsonl", "config.yaml")  # what every run folder holds
INSTEAD = "name the folder of the photos"


@dataclass(frozen=True)
class Skipped:
    """What was passed over: folders below the root, and single pictures: how many, and the name of one."""

    folders: tuple[str, ...] = ()
    images: int = 0
    such_as: str = ""

    def more(self, names: Sequence[str]) -> "Skipped":
        """With these pictures."""
        return self.plus(len(names), names[0] if names else "")

    def plus(self, images: int, such_as: str) -> "Skipped":
        """With so many pictures more."""
        return replace(self, images=self.images + images, such_as=self.such_as or such_as)

    def told(self) -> str | None:
        """A line, None where there was nothing."""
        parts = []
        if self.folders:
            parts.append(f"{counted(len(self.folders), 'folder')} ({some(self.folders)})")
        if self.images:
            parts.append(f"{counted(self.images, 'image')} (such as {short(self.such_as)})")
        return f"skipped what wgan made, as it is no data: {' and '.join(parts)}" if parts else None


def check_root(root: Path, shown: str) -> None:
    """Refuses as data a folder that wgan wrote.

    Raises:
        DatasetError: says what it is, and what is meant instead.
    """
    if (made := _manifest(root)) is not None:
        raise DatasetError(f"{shown} holds images that `wgan sample` made of {called(made)}: {INSTEAD}")
    for folder in (root, root.resolve().parent):
        if all((folder / name).is_file() for name in RUN) and (folder == root or root.resolve().name == "samples"):
            raise DatasetError(f"{shown} is of a run of wgan, which writes its own pictures there: {INSTEAD}")


def is_samples(folder: Path, files: Collection[str]) -> bool:
    """Whether a folder, of which ``files`` are the names, is one that `wgan sample` wrote."""
    return FILE in files and _manifest(folder) is not None


def is_run(files: Collection[str]) -> bool:
    """Whether a folder that holds these files is a run's."""
    return all(name in files for name in RUN)


def outside_of_own(
    images: Sequence[str], files: Collection[str], read: Callable[[str], bytes | None]
) -> tuple[list[int], Skipped]:
    """Which images lie in no folder that wgan wrote, where there is no folder to look into; and those that do.

    Args:
        images: their paths.
        files: the paths of all files.
        read: a file's content; None where it cannot be read.
    """
    held: dict[str, dict[str, str]] = defaultdict(dict)
    for file in files:
        folder, _, name = file.rpartition("/")
        if name == FILE or name in RUN:
            held[folder][name] = file
    samples = {folder for folder, names in held.items() if FILE in names and _describes(read(names[FILE]))}
    runs = {folder for folder, names in held.items() if is_run(names)}
    if not samples and not runs:
        return list(range(len(images))), Skipped()

    def own(path: str) -> str | None:
        parts = path.split("/")
        above = ["/".join(parts[:count]) for count in range(len(parts) - 1, -1, -1)]
        return above[0] if above[0] in samples else next((folder for folder in above if folder in runs), None)

    where = [own(path) for path in images]
    kept = [index for index, folder in enumerate(where) if folder is None]
    return kept, Skipped(tuple(sorted({folder for folder in where if folder is not None})))


def deciding(
    names: Sequence[str], is_own: Callable[[int], bool], kinds: Sequence[str | None] | None = None
) -> set[int]:
    """Which images, of those on which it hangs whether there are classes and which, are wgan's own.

    Those are the images that are in no class, and classes of nothing else. Each look ends at the first image that is
    not wgan's: of a usual data set with class folders one file a folder is opened, and none where they are JPEGs.

    Args:
        names: of the images.
        is_own: whether an image is wgan's, by its index.
        kinds: the class that each image would be of, None for none; by default the folder just below the root.
    """
    by_class: dict[str | None, list[int]] = defaultdict(list)
    for index, kind in enumerate(top_folders(names) if kinds is None else kinds):
        by_class[kind].append(index)
    loose = by_class.pop(None, [])
    own: set[int] = set()
    if len(by_class) < 2:
        return own
    for indices in (loose, *by_class.values()):
        for index in indices:
            if not (PurePosixPath(names[index]).suffix.lower() in MARKED and is_own(index)):
                break
            own.add(index)
        if indices is loose and not own.issuperset(loose):
            break  # a photo outside: there are no classes
    return own


def nothing_else(shown: str) -> DatasetError:
    """The line where all that is there was skipped."""
    return DatasetError(f"{shown} holds no images but those that wgan made: {INSTEAD}")


def _manifest(folder: Path) -> dict[str, object] | None:
    try:
        return manifest_of(folder).read()
    except OutputError:
        return None


def _describes(manifest: bytes | None) -> bool:
    return manifest is not None and Manifest(Path(FILE), KIND).parse(manifest) is not None
