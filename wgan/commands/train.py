"""`wgan train` and `wgan demo`."""

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from wgan.commands.console import Device, Json, Overrides, Stopped, need_training
from wgan.serve.base.errors import ConfigError
from wgan.serve.base.terminal import emit, say, say_once

LOST = 120.0  # seconds that a run started again waits for the lock of the process that was lost, maybe on another host


def train(
    overrides: Overrides = None,
    data: Annotated[str | None, typer.Option(help="faces, a folder, or a .zip of images")] = None,
    config: Annotated[
        str | None, typer.Option(help="preset or YAML file [default: wgan-gp-64]", metavar="NAME|FILE")
    ] = None,
    run: Annotated[Path | None, typer.Option(help="run folder [default: a new one under runs/]")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on with the run (the newest, without --run)")] = False,
    inception_weights: Annotated[
        str | None, typer.Option(help="file for FID, measured every inception_every steps", metavar="FILE")
    ] = None,
    device: Device = "auto",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show what would be trained, and its cost")] = False,
    as_json: Json = False,
) -> None:
    """Train on images, into a run folder."""
    from wgan.serve.artifacts.find import ROOT, newest_run
    from wgan.serve.backends.pytorch.device import torch_device, why_cpu
    from wgan.serve.base.owner import own

    need_training()
    import torch

    from wgan.training import config as settings
    from wgan.training.distributed import join, own_device, restarted
    from wgan.training.records import folder as runs
    from wgan.training.run.loop import train as train_run

    changes = settings.parse_overrides(overrides or [])
    if data is not None:
        changes["data"] = data
    chosen = own_device(torch.device(torch_device(device)))
    say_once([why_cpu(device)])
    if inception_weights is not None:
        changes["inception_weights"] = inception_weights
    if resume:
        if config is not None:
            raise ConfigError("--resume goes on with the run's own configuration: change it by key=value, not --config")
        old = run or newest_run()
        saved = runs.RunFolder(old).read_config()
        resolved = settings.from_dict(changes, base=saved)
        if dry_run and resolved.precision == settings.AUTO:
            resolved = resolved.replace(precision=saved.precision)  # a run keeps what it has
    else:
        old = None
        resolved = settings.from_dict(changes, base=settings.load(config or "wgan-gp-64"))
    name = runs.name_for(resolved)
    if dry_run:
        from wgan.training.run.estimate import estimate

        plan = estimate(resolved, chosen)
        emit(plan.to_dict(), plan.to_text(), as_json)
        return
    with ExitStack() as held, join(chosen) as world:

        def prepare() -> tuple[Path, dict[str, Any], bool]:
            # started again by torchrun after a loss, with the words of the first start
            there = (runs.find_same(run or ROOT, resolved) if restarted() else None) or old
            patience = LOST if restarted() else 0.0
            if there is not None:
                held.enter_context(own(there, say, patience=patience))
                folder, changed = runs.reopen(there, changes)
                return folder.path, changed.to_dict(), True
            if run is None:
                return runs.begin(runs.own_new(ROOT, name, say, held)).path, resolved.to_dict(), False
            held.enter_context(own(run, say, patience=patience))
            return runs.begin(run).path, resolved.to_dict(), False

        place, values, going_on = world.same(prepare)
        result = train_run(
            runs.RunFolder(place),
            settings.from_dict(values),
            device=chosen,
            cache=place.parent / ".cache",
            resume=going_on,
            world=world,
        )
        if not world.first:
            return
    state = "trained" if result.finished else "stopped, saved"
    swd = "" if result.swd is None else f", SWD {result.swd:.1f}"
    fid = f", FID {result.scores['fid']:.1f}" if result.scores and "fid" in result.scores else ""
    emit(result.to_dict(), f"{state}: {result.run}, step {result.step}{swd}{fid}", as_json)
    if not result.finished:
        raise Stopped


def demo(
    overrides: Overrides = None,
    run: Annotated[Path, typer.Option(help="run folder; gone on with if it is there")] = Path("runs/demo"),
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """The whole way, on the built-in faces."""
    need_training()
    from wgan.demo import run_demo
    from wgan.training.config import parse_overrides

    result = run_demo(run, parse_overrides(overrides or []), device, say)
    emit(result.to_dict(), result.to_text(), as_json)
    if not result.finished:
        raise Stopped
    if not result.passed:
        raise typer.Exit(1)
