"""`wgan train`."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wgan.commands.console import HOW, DeviceOption, JsonOption, Overrides, PlaceOf, StoppedAndSaved
from wgan.commands.onward import onward, tensorboard, with_run
from wgan.commands.values import presets, runs
from wgan.models import need_training
from wgan.serve.base.command import Word, command
from wgan.serve.base.paths import option
from wgan.serve.base.terminal import detail, emit, say, say_once

if TYPE_CHECKING:
    import torch

    from wgan.plan import Plan
    from wgan.training.config import Config
    from wgan.training.distributed import World
    from wgan.training.records.folder import RunFolder
    from wgan.training.run.loop import Trained

WHAT = "what to train"
LENGTH = ("steps", "minutes")  # settings that say how long a run is
SHORT = 30  # minutes of what is proposed where a run takes long
EXAMPLES = (
    ("30 minutes on the built-in faces", "wgan train"),
    ("ten minutes on your own images, the settings by what they are", "wgan train --data photos minutes=10"),
    ("what a preset would cost here, without training", "wgan train --config wgan-gp-64 --dry-run"),
    ("the newest run goes on, with a lower learning rate", "wgan train --resume lr_g=5e-5 lr_d=5e-5"),
)


def train(
    overrides: Overrides = None,
    data: Annotated[
        str | None,
        typer.Option(help="faces, a folder, a .zip or .tar files of images", metavar="WHERE", rich_help_panel=WHAT),
    ] = None,
    config: Annotated[
        str | None,
        typer.Option(
            help="preset or YAML file [default: by what the images are]",
            metavar="NAME|FILE",
            autocompletion=presets,
            rich_help_panel=WHAT,
        ),
    ] = None,
    inception_weights: Annotated[
        str | None,
        typer.Option(help="file for FID, measured every inception_every steps", metavar="FILE", rich_help_panel=WHAT),
    ] = None,
    run: Annotated[
        PlaceOf | None,
        typer.Option(
            help="run folder, or s3://… to mirror it to [default: a new one under runs/]",
            metavar="DIR",
            autocompletion=runs,
            parser=option("--run", remote=True),
            rich_help_panel=HOW,
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="go on with the run (the newest, without --run)", rich_help_panel=HOW),
    ] = False,
    device: DeviceOption = "auto",
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="show what would be trained, and its cost", rich_help_panel=HOW),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Train on images, into a run folder."""
    need_training()
    from wgan.plan import plan_run
    from wgan.training import config as settings
    from wgan.training.distributed import World, join

    changes = settings.parse_overrides(overrides or [])
    changes |= {} if data is None else {"data": data}
    changes |= {} if inception_weights is None else {"inception_weights": inception_weights}
    place = None if run is None else str(run)
    options = {"data": data, "config": config, "inception-weights": inception_weights, "run": place, "device": device}
    asked = _Asked(options, resume, overrides or [])
    with World() if dry_run else join() as world:
        _check_program(world, changes, {"--config": config, "--resume": resume, "--device": device})
        plan = plan_run(changes, preset=config, run=run, resume=resume, device=device, dry=dry_run, world=world)
        if dry_run:
            _show_cost(plan, asked, as_json)
            return
        result = plan.train(world=world, first=partial(_foretell, plan.device, asked, world.size))
        if not world.first:
            return
    _show(result, asked, as_json)
    if not result.finished:
        raise StoppedAndSaved


def _check_program(world: "World", changes: Mapping[str, Any], words: Mapping[str, Any]) -> None:
    """Refuses processes of other versions or with other words than the first: what follows needs them alike."""
    from wgan.training.distributed.alike import PLACES, check_alike, versions

    check_alike(world, versions(), "install the same packages on every machine")
    settings = {name: value for name, value in changes.items() if name not in PLACES}
    check_alike(world, {**words, **settings}, "start every process with the same words")


class _Asked:
    """What was asked for, to be shown again with changes."""

    def __init__(self, options: Mapping[str, Word | None], resume: bool, overrides: list[str]):
        self.device = options["device"]
        self._options = {
            name: value for name, value in options.items() if value is not None and (name, value) != ("device", "auto")
        }
        self.resume, self._overrides = resume, overrides

    def again(self, *more: str, without: tuple[str, ...] = ()) -> str:
        """The command with further settings, and without some options and settings."""
        words: list[Word] = ["train", *(["--resume"] if self.resume else [])]
        for name, value in self._options.items():
            words += [] if name in without else [f"--{name}", value]
        kept = [word for word in self._overrides if word.partition("=")[0].strip() not in without]
        return command(*words, *kept, *more)

    def shorter(self, data: str) -> Iterator[str]:
        """Commands for a new run on this data that take less time."""
        yield self.again(f"minutes={SHORT}", without=LENGTH)
        if self.has("config"):
            where = () if data == "faces" else ("--data", data)
            yield command("train", *where, f"minutes={SHORT}")
            if not where:
                yield command("train", "--config", "demo")

    def has(self, option: str) -> bool:
        """Whether the option was given."""
        return option in self._options


def _foretell(device: "torch.device", asked: _Asked, processes: int, config: "Config", run: "RunFolder | None") -> None:
    """Says how long the run will take, or its rest, and where that is long what would be shorter."""
    from wgan.training.run.forecast import forecast

    detail(f"settings from {'the run' if run else 'a preset or file' if asked.has('config') else 'a recipe'}")
    told = forecast(config, device, run, processes)
    say(told.line)
    if not told.long:
        return
    some = told.done + max(1, int(told.steps * SHORT * 60 / told.seconds))
    for line in asked.shorter(config.data) if run is None else [asked.again(f"steps={some}", without=LENGTH)]:
        say(f"shorter: {line}")


def _show_cost(plan: "Plan", asked: _Asked, as_json: bool) -> None:
    """The result of `--dry-run`."""
    say_once(plan.notes)
    from wgan.training.run.estimate import estimate

    cost = estimate(plan.config, plan.device)
    emit(cost.to_dict(), cost.to_text(), as_json)
    onward(as_json, asked.again())


def _show(result: "Trained", asked: _Asked, as_json: bool) -> None:
    """How the run ended, and what comes next: its report and its curves, or going on with it."""
    report = result.run / "report.html"
    emit(result.to_dict(), f"{result.to_text()}\nreport: {report}", as_json)
    if result.finished:
        place = result.mirror or result.run
        onward(as_json, tensorboard(result.run), with_run(place, "export", "--format", "onnx"))
        return
    device = () if asked.device in (None, "auto") else ("--device", asked.device)
    onward(
        False, command("train", "--resume", "--run", result.mirror or result.run, *device)
    )  # beside JSON too: nothing else says it
