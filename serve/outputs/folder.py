"""A folder of generated images belongs to one artifact: a manifest in it, `wgan.json`, says to which.

It also says what else an image of a number depends on: truncation, latents, label. The same artifact goes on in its
folder. Whatever else is asked for is refused, or goes to the next free `samples-2`, where no folder was named. Images
without a manifest are somebody's, and are left alone. The page of the first images lies beside the folder, which
holds the images of the seeds and nothing else that a reader of folders would take for one.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from wgan.serve.base.errors import OutputError
from wgan.serve.base.files import Replacement, writing
from wgan.serve.base.streams import is_stream
from wgan.serve.outputs.manifest import Manifest, difference, short
from wgan.serve.outputs.marks import IMAGES, UNITS, read_marks

FILE = "wgan.json"
KIND, SCHEMA = "wgan_samples", 1
NAMES = ("model", "run", "origin")  # what the artifact is called: said, but another name makes no other images
_OURS = re.compile(rf"(?:(?:{'|'.join(UNITS)})-\d{{6,}}|grid)\.png")


class FolderTaken(OutputError):
    """The folder holds other images; ``why`` is the text without what to do. wgan's own may also be ``removed``."""

    def __init__(self, why: str, removed: Path | None = None):
        super().__init__(f"{why}: choose another --out" + ("" if removed is None else f", or remove {removed}"))
        self.why = why


def manifest_of(folder: Path) -> Manifest:
    """The file that says to which artifact a folder belongs."""
    return Manifest(folder / FILE, KIND)


def check(folder: Path, facts: Mapping[str, Any]) -> bool:
    """Whether the folder belongs to images of ``facts`` already; False where it is free. Nothing is written.

    Raises:
        FolderTaken: it belongs to others, holds images of which nothing says whose they are, or is a file.
        OutputError: it cannot be looked at.
    """
    if folder.exists() and not folder.is_dir():
        raise FolderTaken(f"cannot write {folder}: it is a file")
    there = _read(folder)
    if there is None:
        strange = _first_image(folder)
        there = _read(folder)  # another process may have begun meanwhile
        if there is None and strange is not None:
            raise FolderTaken(f"{folder} holds images, such as {strange}, and no {FILE} that says whose")
    if there is None:
        return False
    _compare(folder, there, _whole(facts))
    return True


def claim(folder: Path, facts: Mapping[str, Any]) -> bool:
    """Makes the folder that of images of ``facts``; whether it was not before. Of several processes one wins.

    Args:
        folder: is made if it is missing.
        facts: the artifact's digest (``model_sha256``), what it is called (`NAMES`), and all else on which an image of
            a number depends.

    Raises:
        FolderTaken: as `check`.
        OutputError: nothing can be written there.
    """
    known = check(folder, facts)
    with _named(folder):
        Replacement(folder / FILE).discard()  # makes the folder, and finds out whether it can be written to
        if known or manifest_of(folder).create(_whole(facts)):
            return not known
    _compare(folder, _read(folder) or {}, _whole(facts))
    return False


def release(folder: Path) -> None:
    """Takes a claim back, where no image has come of it."""
    with suppress(OSError):
        if all(name == FILE or name.startswith(".") for name in os.listdir(folder)):  # noqa: PTH208
            (folder / FILE).unlink()


def keep(folder: Path, facts: Mapping[str, Any]) -> None:
    """Writes the manifest anew where the process that made it came to no image, and took it back."""
    if not (folder / FILE).exists():
        manifest_of(folder).create(_whole(facts))


def free_folder(base: Path, facts: Mapping[str, Any], say: Callable[[str], object]) -> Path:
    """``base`` for images of ``facts``, or where it is taken their own of `base-2`, `base-3`, …, else the first free.

    ``say`` takes the line that says why it is not ``base``. Raises OutputError where a folder cannot be looked at.
    """
    free: Path | None = None
    try:
        check(base, facts)
        return base
    except FolderTaken as taken:
        why = taken.why
    for folder in _numbered(base):
        with suppress(FolderTaken):
            own = check(folder, facts)
            free = folder if own else free or folder
            if own:
                break
    assert free is not None
    say(f"{why}: these images go to {free}")
    return free


def emptied(folder: Path) -> None:
    """Removes what wgan wrote there, its manifest last, for a folder that its caller owns. Other files stay.

    Raises OutputError.
    """
    with writing(folder), suppress(FileNotFoundError):
        for name in sorted(os.listdir(folder)):  # noqa: PTH208
            path = folder / name
            if _OURS.fullmatch(name) and path.is_file() and _marks(path) is not None:
                path.unlink()
        with suppress(FolderTaken):  # a file of that name that is not wgan's
            if _read(folder) is not None:
                (folder / FILE).unlink()


def page_beside(folder: Path) -> tuple[Path | None, str | None]:
    """Where the page of a folder's first images goes; None, and why, where it has no place.

    It is `samples-grid.png` for `samples`, unless that is a picture that wgan did not make.
    """
    if folder.name in ("", ".."):
        return None, f"no grid was written, as {folder} has no name to put one beside it; --out grid.png makes one"
    page = folder.with_name(f"{folder.name}-grid.png")
    if os.path.lexists(page) and _marks(page) is None:
        return None, f"no grid was written: {page} is there, and wgan did not make it; --out grid.png makes another"
    return page, None


def _numbered(base: Path) -> Iterator[Path]:
    """Those of `base-2`, `base-3`, … that are there, and the first that is not."""
    name = re.compile(rf"{re.escape(base.name)}-([2-9]|[1-9][0-9]{{1,8}})")
    with writing(base):
        there = {int(match[1]) for entry in os.listdir(base.parent) if (match := name.fullmatch(entry))}  # noqa: PTH208
    free = next(number for number in range(2, len(there) + 3) if number not in there)
    for number in (*sorted(there), free):
        yield base.with_name(f"{base.name}-{number}")


def _whole(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {KIND: SCHEMA, **facts}


def _read(folder: Path) -> dict[str, Any] | None:
    try:
        with _named(folder):
            return manifest_of(folder).read()
    except OutputError as error:
        if error.__cause__ is not None:
            raise
        raise FolderTaken(f"{folder / FILE} is there, and it is not of wgan") from None


@contextmanager
def _named(folder: Path) -> Iterator[None]:
    """What the system refuses is said of the folder, which the user named, and not of a file in it."""
    try:
        yield
    except OutputError as error:
        if isinstance(error.__cause__, OSError) and not isinstance(error.__cause__, IsADirectoryError):
            with writing(folder):
                raise error.__cause__ from None
        raise


def _compare(folder: Path, there: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raises FolderTaken where the images are not the same."""
    before, now = ({key: value for key, value in each.items() if key not in NAMES} for each in (there, wanted))
    key = difference(before, now)
    if key is None:
        return
    whose = called(there)
    if before.get("model_sha256") != now.get("model_sha256"):
        raise FolderTaken(f"{folder} holds images of {whose}, not of {called(wanted)}", folder)
    values = [short(each.get(key)) for each in (before, now)]
    raise FolderTaken(f"{folder} holds images of {whose} with {key} {values[0]}, not {values[1]}", folder)


def called(facts: Mapping[str, Any]) -> str:
    """`generator.onnx of the run photos (best, step 1,130; 0123456789ab…)`, as far as it is known."""
    name = short(facts.get("model") or "a generator")
    run = "" if facts.get("run") is None else f" of the run {short(facts['run'])}"
    origin = "" if facts.get("origin") is None else f"{short(facts['origin'])}; "
    return f"{name}{run} ({origin}{short(facts.get('model_sha256'))})"


def _first_image(folder: Path) -> str | None:
    """An image in the folder, or in one of those below it that has no manifest; with thousands of files soon found."""
    below = []
    with writing(folder), suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                below.append(entry.name)
            elif _is_image(entry.name) and entry.is_file():
                marks = _marks(folder / entry.name)
                return entry.name if marks is None else f"{entry.name} of {short(marks.get('model'))}"
    for name in below:
        with suppress(OSError):
            names = os.listdir(folder / name)  # noqa: PTH208
            if FILE not in names and (image := next(filter(_is_image, names), None)) is not None:
                return f"{name}/{image}"
    return None


def _is_image(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in IMAGES  # noqa: PTH122


def _marks(path: Path) -> Mapping[Any, Any] | None:
    try:
        if is_stream(path):  # where there is nobody to wait for
            return None
        with path.open("rb") as file:
            return read_marks(file)
    except OSError:
        return None
