"""Where an export goes: a folder of this machine, or one in object storage, into which it is put when it is proven."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from wgan.export.exporter import REFERENCE
from wgan.serve.artifacts.formats import format_by_ending
from wgan.serve.base.address import Address, Place
from wgan.serve.base.command import or_again
from wgan.serve.base.errors import ConfigError
from wgan.serve.base.fetched import note
from wgan.serve.base.files import writing
from wgan.serve.base.terminal import say
from wgan.serve.stores import check_bucket, write

_LAST = ("index.html",)  # what a page is opened by


@dataclass
class Placed:
    """Takes artifacts that were made and proven in ``folder``; None is the run's own folder."""

    folder: Path | None
    address: Address | None = None
    _made: list[Path] = field(default_factory=list)

    def take(self, path: Path) -> None:
        """An artifact that is made; of a folder of this machine it is in its place."""
        self._made.append(path)
        if self.address is None:
            say(f"wrote {path}")

    def finish(self) -> None:
        """Puts all in their place in storage: what an artifact needs first, its own name last. Raises StoreError."""
        if self.address is None or self.folder is None:
            return
        files = [path for path in self.folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
        for path in sorted(files, key=self._order):
            write(_under(self.address, self.folder, path), path)
        for path in self._made:
            say(f"wrote {path}")

    def _order(self, path: Path) -> tuple[bool, bool, str]:
        return path in self._made, path.name in _LAST, "" if path.name == REFERENCE else str(path)


def _under(address: Address, folder: Path, path: Path) -> Address:
    for part in path.relative_to(folder).parts:
        address = address / part
    return address


@contextmanager
def placed(out: Place | None, format: str) -> Iterator[Placed]:
    """Where ``--out`` leads; of an address a folder of this machine for the time of the block.

    Raises:
        ConfigError: it is called as one artifact is, or what ``format`` names is for this machine alone.
        StoreError: the bucket is not there, or out of reach: it is looked at before anything is made.
    """
    if not isinstance(out, Address):
        yield Placed(out)
        return
    if (row := format_by_ending(out)) is not None:
        way = or_again("--out", out.with_suffix(""), of=("export",))
        raise ConfigError(f"--out {out} is called like an artifact ({row.name}), and it is the folder: say {way}")
    if format == "triton":
        raise ConfigError("--format triton goes to a folder here: leave --out out, and copy triton/ from there")
    check_bucket(out)
    with TemporaryDirectory(prefix="wgan-export-", ignore_cleanup_errors=True) as folder:
        with writing(Path(folder)):
            note(Path(folder), out)
        yield Placed(Path(folder), out)
