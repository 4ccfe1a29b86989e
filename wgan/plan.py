"""A run as it was asked for, before anything is written: what `wgan.train` and `wgan train` begin with."""

from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wgan.serve.base.command import or_again
from wgan.serve.base.errors import ConfigError
from wgan.serve.base.owner import own
from wgan.serve.base.terminal import say, say_once

if TYPE_CHECKING:
    import torch

    from wgan.training.config import Config
    from wgan.training.distributed import World
    from wgan.training.records.folder import RunFolder
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
    """

    config: "Config"
    changes: dict[str, Any]
    run: Path | None
    old: Path | None
    device: "torch.device"
    notes: tuple[str, ...] = ()

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
        from wgan.training.distributed import World
        from wgan.training.distributed.alike import PLACES, check_alike
        from wgan.training.records.folder import RunFolder
        from wgan.training.run.loop import train

        world = world or World()
        own = self.config.to_dict()
        settings = {name: value for name, value in own.items() if name not in PLACES}
        check_alike(world, {"device": self.device.type, **settings}, SAME)
        world.compute_on(self.device)
        again = self._begun(world)
        with ExitStack() as held:
            place, values, going_on = world.same(lambda: self._prepare(held, again))
            if not world.first:
                values |= {name: own[name] for name in PLACES}
            folder, config = RunFolder(place), from_dict(values)
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

    def _begun(self, world: "World") -> Path | None:
        """The run that torchrun started before, with the words of that start; the process that has it is the first."""
        from wgan.serve.artifacts.find import ROOT
        from wgan.training.distributed import restarted
        from wgan.training.distributed.launch import launch
        from wgan.training.records import folder as runs

        if self.old is not None or not (launch() or restarted()):
            return self.old
        there = runs.find_same(self.run or ROOT, self.config, launch())
        step = -1 if there is None else runs.newest_step(there)
        if step >= self.config.steps and not restarted():
            there, step = None, -1  # it is done, and this is another run
        world.lead_by(step)
        if there is None and world.first and restarted():
            say("started again, and no run of this start is on any machine's disk: it begins anew")
        return there

    def _beside(self, place: Path) -> Path:
        """Where this machine keeps what lies beside the run's folder, which only the first process's need have."""
        from wgan.serve.artifacts.find import ROOT

        if place.parent.is_dir():
            return place.parent
        return ROOT if self.run is None else self.run.parent

    def _prepare(self, held: ExitStack, there: Path | None) -> tuple[Path, dict[str, Any], bool]:
        """The folder, owned as long as ``held`` is open, its settings, and whether the run ``there`` goes on."""
        from wgan.serve.artifacts.find import ROOT
        from wgan.training.distributed import restarted
        from wgan.training.distributed.launch import launch
        from wgan.training.records import folder as runs

        patience = LOST if restarted() or (there is not None and launch()) else 0.0
        if there is not None:
            held.enter_context(own(there, say, patience=patience))
            folder, changed = runs.reopen(there, self.changes)
            return folder.path, changed.to_dict(), True
        if self.run is None:
            name = runs.name_for(self.config)
            return runs.begin(runs.own_new(ROOT, name, say, held)).path, self.config.to_dict(), False
        held.enter_context(own(self.run, say, patience=patience))
        return runs.begin(self.run).path, self.config.to_dict(), False


def plan_run(
    changes: dict[str, Any],
    *,
    preset: str | None = None,
    run: Path | None = None,
    resume: bool = False,
    device: str = "auto",
    dry: bool = False,
    world: "World | None" = None,
) -> Plan:
    """What is to be trained; nothing is written.

    Args:
        changes: settings by name, over those of the preset or of the run that goes on.
        preset: a preset's name or a YAML file; None for a recipe, by what the images are.
        run: the run folder.
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

    from wgan.serve.backends.pytorch.device import torch_device, why_cpu
    from wgan.training import config as settings
    from wgan.training.data import check_faces
    from wgan.training.distributed import own_device
    from wgan.training.recipes import recipe_for_data

    chosen = own_device(torch.device(torch_device(device)))
    say_once([why_cpu(device)])
    if "steps" in changes and changes.get("minutes"):
        raise ConfigError("steps and minutes both say how long to train: leave one of them out")
    if not resume:
        recipe = recipe_for_data(changes, chosen.type) if preset is None else None
        config = recipe.config if recipe else settings.from_dict(changes, base=settings.load(str(preset)))
        if config.data == "faces":
            check_faces(config.image_size, config.channels)
        return Plan(config, changes, run, None, chosen, (recipe.line,) if recipe else ())
    if preset is not None:
        way = or_again("--resume", of=("train",), without=("--config",))
        raise ConfigError(f"--resume goes on with the run's own configuration: change it by key=value: {way}")
    old, saved = _to_go_on_with(run, world)
    config = settings.from_dict(changes, base=saved)
    if dry and config.precision == settings.AUTO:
        config = config.replace(precision=saved.precision)  # a run keeps what it has
    return Plan(config, changes, run, old, chosen)


def _to_go_on_with(run: Path | None, world: "World | None") -> tuple[Path, "Config"]:
    """The run, and its settings. Of several processes the one that has it becomes the first, and tells the others.

    Raises:
        ConfigError: no process has it.
    """
    from wgan.serve.artifacts.find import newest_run
    from wgan.training.distributed import World
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
        return old, runs.RunFolder(old).read_config()

    return world.same(read)
