"""What is written to a place: a folder, or a file of one kind, by its ending or by ``--format``."""

from wgan.serve.base.address import Address, Place
from wgan.serve.base.command import or_again
from wgan.serve.base.errors import ConfigError, OutputError
from wgan.serve.base.streams import is_stream

KINDS = ("png", "npy", "npz", "tar", "gif", "webp")  # of files
_LIST = ", ".join(KINDS)


def is_folder(path: Place) -> bool:
    """Whether ``--out`` names a folder: one that is there, or a name such as step-0.5."""
    return _is_dir(path) or not path.suffix[1:2].isalpha()


def kind_of(path: Place, format: str | None = None) -> str:
    """What is written to ``path``: "folder", or one of `KINDS` by its ending or by ``format`` (``--format``).

    Raises:
        ConfigError: no such format, another one than the ending says, or a format for a folder.
        OutputError: an unknown ending, or a pipe or device of which nothing says what it takes.
    """
    ending = path.suffix.lower().removeprefix(".")
    if format is not None:
        if format not in KINDS:
            raise ConfigError(f"--format {format} is not one of {_LIST}")
        if ending in KINDS and ending != format:
            way = or_again("--format", ending, of=("sample",))
            raise ConfigError(f"--format {format} is not what --out {path} ends in: use {way}, or another name")
        if _is_dir(path):
            raise ConfigError(f"--format {format} is for a file, and --out {path} is a folder: name a file in it")
        return format
    if ending in KINDS and not _is_dir(path):
        return ending
    if is_stream(path):
        way = or_again("--format", "npy", of=("sample",))
        raise OutputError(f"cannot write {path}: its name does not say what to write: {way}, or another of {_LIST}")
    if isinstance(path, Address):
        raise OutputError(
            f"cannot write {path}: what goes to storage is a file, {', '.join(f'.{kind}' for kind in KINDS)}; for many "
            f"images name shards: --out {path / 'images.tar'} --shard-size 10000"
        )
    if is_folder(path):
        return "folder"
    raise OutputError(f"cannot write {path}: use a folder, .png, .npy, .npz or .tar, not .{ending}")


def _is_dir(path: Place) -> bool:
    return not isinstance(path, Address) and path.is_dir()
