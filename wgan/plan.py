"""A run as it was asked for, before anything is written: what `wgan.train` and `wgan train` begin with."""

from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wgan.serve.base.address import Address, Place
from wgan.serve.base.command import command, or_again
from wgan.serve.base.errors import ConfigError
from wgan.serve.base.owner import own
from wgan.serve.base.terminal import say, say_once

if TYPE_CHECKING:
    import torch

    from wgan.training.config import Config
    from wgan.training.distributed import World
    from wgan.training.mirror.background import BucketMirror
    from wgan.training.records.folder import RunFolder
    from wgan.training.records.mirrored import Mirror
    from wgan.training.run.loop import Trained

SAME = "start every process with the same words and files"
LOST = 120.0  # seconds that a run started again waits for the lock of the process that was lost, maybe on another host


@dataclass(frozen=True)
class Plan:
    """A run that can begin.

    Args:
        config: all settings.
        changes: those that were given, by name.
        run: the folder for it; None for a new one under runs/.
        old: the folder of the run to go on with.
        device: where to train.
        notes: lines that a person must know of the settings.
        mirror: the address of a run that is trained in ``run`` and pushed there.
    """

    config: "Config"
    changes: dict[str, Any]
    run: Path | None
    old: Path | None
    device: "torch.device"
    notes: tuple[str, ...] = ()
    mirror: Address | None = None

    def train(
        self, *, world: "World | None" = None, first: "Callable[[Config, RunFolder | None], None] | None" = None
    ) -> "Trained":
        """Trains. Of several processes each calls it, with the world that they share.

        ``first`` is called before anything long, once the folder is this run's: with all settings, and with the folder
        if the run in it goes on.

        Raises:
            WganError: as `training.run.loop.train`.
        """
        from wgan.training.config import from_dict
        from wgan.training.distributed import World, restarted
        from wgan.training.distributed.alike import PLACES, check_alike
        from wgan.training.records.folder import RunFolder
        from wgan.training.records.mirrored import Mirror
        from wgan.training.run.loop import pushed_alone, train

        world, mirrors = world or World(), [Mirror()]
        mine = self.config.to_dict()
        # a recipe goes by the machine's cores: there the first process's settings are taken
        settings = {} if self.notes else {name: value for name, value in mine.items() if name not in PLACES}
        check_alike(world, {"device": self.device.type, **settings}, SAME)
        world.compute_on(self.device)
        # torchrun counts restarts on each machine by itself: one that came later has seen none
        again = world.any(restarted())
        begun = self._begun(world, again)
        with ExitStack() as held:
            place, values, going_on = world.same(lambda: self._prepare(held, begun, again, mirrors))
            if not world.first:
                values |= {name: mine[name] for name in PLACES}
            folder, config = RunFolder(place, mirrors[-1]), from_dict(values)
            if self.mirror is not None and (done := world.same(lambda: pushed_alone(folder, config))) is not None:
                return done
            if first is not None and world.first:
                first(config, folder if going_on else None)
            return train(
                folder,
                config,
                device=self.device,
                cache=self._beside(place) / ".cache",
                resume=going_on,
                world=world,
                notes=self.notes,
            )

    def _begun(self, world: "World", again: bool) -> Path | None:
        """The run that torchrun started before, with the words of that start; the process that has it is the first.

        ``again``: torchrun has restarted some process.
        """
        from wgan.serve.artifacts.find import ROOT
        from wgan.training.distributed.launch import launch
        from wgan.training.records import folder as runs

        if self.old is not None or not (launch() or again):
            return self.old
        there = runs.find_same(self.run or ROOT, self.config, launch())
        step = -1 if there is None else runs.newest_step(there)
        if step >= self.config.steps and not again:
            there, step = None, -1  # it is done, and this is another run
        world.lead_by(step)
        if there is None and self.mirror is None and world.first and again:
            say("started again, and no run of this start is on any machine's disk: it begins anew")
        return there

    def _beside(self, place: Path) -> Path:
        """Where this machine keeps what lies beside the run's folder, which only the first process's need have."""
        from wgan.serve.artifacts.find import ROOT

        if place.parent.is_dir():
            return place.parent
        return ROOT if self.run is None else self.run.parent

    def _prepare(
        self, held: ExitStack, there: Path | None, again: bool, mirrors: "list[Mirror]"
    ) -> tuple[Path, dict[str, Any], bool]:
        """The folder, owned as long as ``held`` is open, its settings, and whether the run ``there`` goes on.

        ``again``: some process was started again. A mirror of it comes last in ``mirrors``.
        """
        from wgan.serve.artifacts.find import ROOT
        from wgan.training.distributed.launch import launch
        from wgan.training.records import folder as runs

        patience = LOST if again or (there is not None and launch()) else 0.0
        if self.mirror is not None and self.run is not None:
            held.enter_context(own(self.run, say, patience=patience))
            mirror, going_on = self._arrived(self.mirror, self.run, again)
            mirrors.append(held.enter_context(mirror))
            return (*self._settled(self.run, going_on), going_on)
        if there is not None:
            held.enter_context(own(there, say, patience=patience))
            _tell_of_mirror(there)
            return (*self._settled(there, True), True)
        if self.run is None:
            name = runs.name_for(self.config)
            return runs.begin(runs.own_new(ROOT, name, say, held)).path, self.config.to_dict(), False
        held.enter_context(own(self.run, say, patience=patience))
        return (*self._settled(self.run, False), False)

    def _arrived(self, address: Address, folder: Path, again: bool) -> "tuple[BucketMirror, bool]":
        from wgan.training.mirror.arrive import arrive

        return arrive(address, folder, resume=self.old is not None, restarted=again)

    def _settled(self, place: Path, going_on: bool) -> tuple[Path, dict[str, Any]]:
        """The folder of a run that goes on or begins, and its settings."""
        from wgan.training.records import folder as runs

        if not going_on:
            return runs.begin(place).path, self.config.to_dict()
        folder, changed = runs.reopen(place, self.changes)
        return folder.path, changed.to_dict()


def _tell_of_mirror(folder: Path) -> None:
    """Says that a run which was mirrored before goes on without."""
    from wgan.training.mirror.claim import Mark

    if (mark := Mark.of(folder)) is not None:
        way = command("train", "--resume", "--run", mark.address)
        say(f"{folder} was mirrored to {mark.address} and goes on here alone; to push it too: `{way}`")


def plan_run(
    changes: dict[str, Any],
    *,
    preset: str | None = None,
    run: Place | None = None,
    resume: bool = False,
    device: str = "auto",
    dry: bool = False,
    world: "World | None" = None,
) -> Plan:
    """What is to be trained; nothing is written but a cache of the images in object storage that it looks at.

    Args:
        changes: settings by name, over those of the preset or of the run that goes on.
        preset: a preset's name or a YAML file; None for a recipe, by what the images are.
        run: the run folder, or the address that the run is mirrored to: its folder has the last name of that, in runs/.
        resume: go on with ``run``, or with the newest.
        device: auto, cpu or cuda.
        dry: only to be looked at: a precision that the run has settled on is shown.
        world: the processes that train together, each of which plans it.

    Raises:
        ConfigError: an unknown setting or value, a preset for a run that goes on, or no run there.
        DatasetError: without a preset: there are no images to look at.
        BackendUnavailable: no such device here.
    """
    import torch

    from wgan.serve.artifacts.find import ROOT
    from wgan.serve.backends.pytorch.device import torch_device, why_cpu
    from wgan.training import config as settings
    from wgan.training.data import check_faces
    from wgan.training.distributed import own_device
    from wgan.training.recipes import recipe_for_data

    chosen = own_device(torch.device(torch_device(device)))
    say_once([why_cpu(device)])
    if "steps" in changes and changes.get("minutes"):
        raise ConfigError("steps and minutes both say how long to train: leave one of them out")
    mirror = run if isinstance(run, Address) else None
    folder = run if isinstance(run, Path) else None if mirror is None else ROOT / (mirror.name or mirror.bucket)
    if not resume:
        cache = (folder.parent if folder else ROOT) / ".cache"
        recipe = recipe_for_data(changes, chosen.type, cache) if preset is None else None
        config = recipe.config if recipe else settings.from_dict(changes, base=settings.load(str(preset)))
        if config.data == "faces":
            check_faces(config.image_size, config.channels)
        return Plan(config, changes, folder, None, chosen, (recipe.line,) if recipe else (), mirror)
    if preset is not None:
        way = or_again("--resume", of=("train",), without=("--config",))
        raise ConfigError(f"--resume goes on with the run's own configuration: change it by key=value: {way}")
    old, saved = _to_go_on_with(folder, mirror, world)
    config = settings.from_dict(changes, base=saved)
    if dry and config.precision == settings.AUTO:
        config = config.replace(precision=saved.precision)  # a run keeps what it has
    return Plan(config, changes, folder, old, chosen, mirror=mirror)


def _to_go_on_with(run: Path | None, mirror: Address | None, world: "World | None") -> "tuple[Path, Config]":
    """The run, and its settings. Of several processes the one that has it becomes the first, and tells the others.

    Raises:
        ConfigError: no process has it.
    """
    from wgan.serve.artifacts.find import newest_run
    from wgan.training.distributed import World
    from wgan.training.mirror.arrive import saved_config
    from wgan.training.records import folder as runs

    world = world or World()
    step = -2
    with suppress(ConfigError):
        old = run or newest_run()
        runs.RunFolder(old).read_config()
        step = runs.newest_step(old)
    world.lead_by(step)

    def read() -> "tuple[Path, Config]":
        old = run or newest_run()
        return old, runs.RunFolder(old).read_config() if mirror is None else saved_config(mirror, old)

    return world.same(read)
