"""`wgan verify`."""

from pathlib import Path
from typing import Annotated

import typer

from wgan.commands.console import DeviceOption, JsonOption, RunOption
from wgan.models import need_training
from wgan.serve.base.errors import ConfigError
from wgan.serve.base.terminal import emit, say, say_once


def verify(
    model: Annotated[
        Path | None, typer.Option(help="one artifact, or a folder of them [default: the run's export/]")
    ] = None,
    run: RunOption = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Measure artifacts against PyTorch again."""
    from wgan.serve.artifacts.find import BUILT_IN, newest_run

    need_training()
    if model == Path(BUILT_IN):
        raise ConfigError(
            "the built-in generator comes without the checkpoint that it was measured against: "
            "`bash scripts/train_builtin.sh` makes both"
        )
    from wgan.export.verify import Refused, verify_place, why_not
    from wgan.results import Verification

    place = model or (run or newest_run()) / "export"
    alone = model is not None and not model.is_dir()
    rows = Verification(tuple(verify_place(place, alone=alone, device=device)))
    say_once(row.notice for row in rows)
    say_once(row.leak for row in rows)
    emit(rows.to_dict(), str(rows), as_json)
    if any(not isinstance(row, Refused) and row.passed is False for row in rows):
        raise typer.Exit(1)
    if all(isinstance(row, Refused) or row.passed is None for row in rows):
        say(f"wgan: nothing could be measured here: {why_not(rows.artifacts[0])}")
        raise typer.Exit(2)
    if rows.passed is False:  # of what was refused
        raise typer.Exit(2)
