"""`wgan demo`."""

from pathlib import Path
from typing import Annotated

import typer

from wgan.commands.console import DeviceOption, JsonOption, Overrides, StoppedAndSaved
from wgan.commands.onward import onward, tensorboard, with_run
from wgan.commands.values import runs
from wgan.models import need_training
from wgan.serve.base.command import command
from wgan.serve.base.paths import option
from wgan.serve.base.terminal import emit, say

EXAMPLES = (
    ("train, export, verify, sample, report: some minutes", "wgan demo"),
    ("the same with fewer steps, elsewhere", "wgan demo steps=500 --run runs/short"),
)


def demo(
    overrides: Overrides = None,
    run: Annotated[
        Path,
        typer.Option(
            help="run folder; gone on with if it is there", metavar="DIR", autocompletion=runs, parser=option("--run")
        ),
    ] = Path("runs/demo"),
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """The whole way, on the built-in faces."""
    need_training()
    from wgan.demo import run_demo
    from wgan.training.config import parse_overrides

    result = run_demo(run, parse_overrides(overrides or []), device, say)
    emit(result.to_dict(), result.to_text(), as_json)
    if not result.finished:
        onward(False, result.go_on)  # beside JSON too: nothing else says it
        raise StoppedAndSaved
    if not result.passed:
        raise typer.Exit(1)
    onward(as_json, tensorboard(run), with_run(run, "sample", "-n", 64), command("train"))
