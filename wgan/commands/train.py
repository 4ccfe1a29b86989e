"""`wgan train`."""

from pathlib import Path
from typing import Annotated

import typer

from wgan.commands.console import DeviceOption, JsonOption, Overrides, StoppedAndSaved
from wgan.models import need_training
from wgan.serve.base.terminal import emit, say_once


def train(
    overrides: Overrides = None,
    data: Annotated[str | None, typer.Option(help="faces, a folder, or a .zip of images")] = None,
    config: Annotated[
        str | None, typer.Option(help="preset or YAML file [default: by what the images are]", metavar="NAME|FILE")
    ] = None,
    run: Annotated[Path | None, typer.Option(help="run folder [default: a new one under runs/]")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on with the run (the newest, without --run)")] = False,
    inception_weights: Annotated[
        str | None, typer.Option(help="file for FID, measured every inception_every steps", metavar="FILE")
    ] = None,
    device: DeviceOption = "auto",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show what would be trained, and its cost")] = False,
    as_json: JsonOption = False,
) -> None:
    """Train on images, into a run folder."""
    need_training()
    from wgan.plan import plan_run
    from wgan.training import config as settings
    from wgan.training.distributed import join

    changes = settings.parse_overrides(overrides or [])
    changes |= {} if data is None else {"data": data}
    changes |= {} if inception_weights is None else {"inception_weights": inception_weights}
    plan = plan_run(changes, preset=config, run=run, resume=resume, device=device, dry=dry_run)
    if dry_run:
        say_once(plan.notes)
        from wgan.training.run.estimate import estimate

        cost = estimate(plan.config, plan.device)
        emit(cost.to_dict(), cost.to_text(), as_json)
        return
    with join(plan.device) as world:
        result = plan.train(world=world)
        if not world.first:
            return
    emit(result.to_dict(), result.to_text(), as_json)
    if not result.finished:
        raise StoppedAndSaved
