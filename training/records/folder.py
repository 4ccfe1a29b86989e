"""The run folder: what lies where, and how one is begun or gone on with.

config.yaml      the resolved configuration       metrics.jsonl   what was measured
run.json         data, device, versions           tensorboard/    the same for TensorBoard
data.json.gz     names of the images
checkpoints/     step-*.pt and best.pt            export/         artifacts (wgan export)
samples/         grids: see `run/pictures.py`     report.html     the page to look at
"""

import re
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wgan.serve.base import owner
from wgan.serve.base.command import chosen, command
from wgan.serve.base.errors import ConfigError, FolderInUse
from wgan.serve.base.files import atomic_write, writing
from wgan.serve.base.foreign_json import parse_json
from wgan.serve.base.privacy import given_name
from wgan.serve.base.temporary import sweep
from wgan.training.config import Config, changed_on_resume, from_dict, load
from wgan.training.records.mirrored import Mirror


@dataclass(frozen=True)
class RunFolder:
    """Paths of one run, and its copy elsewhere if it has one."""

    path: Path
    mirror: Mirror = field(default_factory=Mirror, compare=False)

    @property
    def named(self) -> Path | str:
        """What a command that goes on with the run names it by: where it is mirrored, that address."""
        return self.mirror.address or self.path

    @property
    def config(self) -> Path:
        """The resolved configuration."""
        return self.path / "config.yaml"

    @property
    def info(self) -> Path:
        """What the run was made of."""
        return self.path / "run.json"

    @property
    def contents(self) -> Path:
        """Which images the run is trained on, as `data.contents` has them."""
        return self.path / "data.json.gz"

    @property
    def metrics(self) -> Path:
        """One JSON object a line."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        """Folder of checkpoints."""
        return self.path / "checkpoints"

    @property
    def samples(self) -> Path:
        """Folder of sample grids."""
        return self.path / "samples"

    @property
    def timings(self) -> Path:
        """Seconds that the stages took."""
        return self.path / "timings.json"

    @property
    def ended(self) -> bool:
        """Whether the last start of the run came to its end: a process that was killed leaves no times."""
        try:
            return bool(parse_json(self.timings.read_bytes()))
        except (OSError, ValueError):
            return False

    def create(self, config: Config) -> None:
        """Makes the folder, where it is not there yet, and writes the configuration. The run has not ended from now on.

        Raises:
            OutputError: it cannot be made.
        """
        atomic_write(self.config, config.to_yaml().encode())  # first: from here on a killed run can be gone on with
        with writing(self.path):
            for folder in (self.checkpoints, self.samples):
                folder.mkdir(exist_ok=True)
        atomic_write(self.timings, b"{}")

    def keep_contents(self, packed: bytes | None) -> None:
        """Writes the names of the images, where they are not written yet. None: there are none."""
        if packed is not None and not (self.contents.is_file() and self.contents.read_bytes() == packed):
            atomic_write(self.contents, packed)

    def read_config(self) -> Config:
        """The configuration that the run was begun with."""
        if not self.config.is_file():
            raise ConfigError(f"{self.path} is no run folder (it has no config.yaml): name another one with --run")
        return load(str(self.config))


def name_for(config: Config) -> str:
    """The name in a run folder's name: what the data was called, or else the end of its path."""
    given = given_name(config.to_dict())
    if given is None:
        # of a range of files what is before it
        return re.split(r"[{}]", Path(config.data).stem)[0].strip("-._") or "run"
    return re.sub(r"[^\w.-]+", "-", given)[:40].strip("-.") or "run"


def new_path(root: Path, name: str) -> Path:
    """`<root>/<time>-<name>`, not there yet."""
    stem = f"{time.strftime('%Y%m%d-%H%M%S')}-{name}"
    path, again = root / stem, 1
    while path.exists():
        again += 1
        path = root / f"{stem}-{again}"
    return path


def own_new(root: Path, name: str, say: Callable[[str], object], held: ExitStack) -> Path:
    """A `new_path` that no other process gets until ``held`` ends, even one that starts at the same moment."""
    while True:
        path = new_path(root, name)
        with suppress(FolderInUse):
            held.enter_context(owner.own(path, say))
            return path


def find_same(place: Path, config: Config, launch: str | None = None) -> Path | None:
    """The run at ``place``, or the newest one in it, that was begun with this very configuration.

    What a run settles on by timing, it keeps.

    Args:
        place: a run folder, or a folder of them.
        config: all settings.
        launch: the start by torchrun that the run must come from, whatever the clocks of machines say. None: any.
    """
    configs = [place / "config.yaml", *place.glob("*/config.yaml")]
    for file in sorted((path for path in configs if path.is_file()), key=lambda path: -path.stat().st_mtime_ns):
        with suppress(ConfigError):
            saved = load(str(file))
            if saved == config.as_settled(saved) and launch in (None, _launch_of(file.parent)):
                return file.parent
    return None


def _launch_of(path: Path) -> object:
    """What `launch` in run.json says; None where there is none."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        return parse_json(RunFolder(path).info.read_bytes())["launch"]
    return None


def newest_step(path: Path) -> int:
    """How far the checkpoints of a run go, by their names: generator updates; -1 where it has none."""
    steps = [int(file.stem[5:]) for file in RunFolder(path).checkpoints.glob("step-*.pt") if file.stem[5:].isdecimal()]
    return max(steps, default=-1)


def begin(path: Path) -> RunFolder:
    """The folder of a new run, which `RunFolder.create` makes once the images are found to be usable.

    Raises:
        ConfigError: it already holds something.
    """
    run = RunFolder(path)
    if run.config.exists():
        way = command("train", "--resume", "--run", path, *chosen("--device"))
        raise ConfigError(f"{path} already holds a run: to go on with it: `{way}`; for a new one name another folder")
    sweep(path)  # what a run that was killed before it began has left
    if path.exists() and (not path.is_dir() or any(entry.name != owner.FILE for entry in path.iterdir())):
        raise ConfigError(f"{path} is not an empty folder: name another one")
    return run


def reopen(path: Path, overrides: dict[str, Any]) -> tuple[RunFolder, Config]:
    """A run to go on with, its configuration changed by ``overrides``; nothing is written before it does go on.

    Raises:
        ConfigError: no run there, or a setting that a resumed run cannot change.
    """
    run = RunFolder(path)
    saved = run.read_config()
    config = from_dict(overrides, base=saved)
    changed_on_resume(saved, config, command("train", "--config", run.config, *chosen("--device"), **overrides))
    return run, config
