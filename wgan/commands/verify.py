"""`wgan verify`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wgan.commands.console import DeviceOption, JsonOption, PlaceOf, RunOption
from wgan.commands.onward import onward, with_model
from wgan.commands.values import formats, models
from wgan.models import need_training
from wgan.serve.base.address import Place
from wgan.serve.base.errors import ConfigError
from wgan.serve.base.paths import option
from wgan.serve.base.terminal import detail, emit, fault, say_once

if TYPE_CHECKING:
    from wgan.results import Verification

EXAMPLES = (
    ("all artifacts of the newest run", "wgan verify"),
    ("the exported page of the newest run, in a browser", "wgan verify --format web"),
    ("one file, on the CPU", "wgan verify --model generator.onnx --device cpu"),
    ("one that a tool changed becomes an artifact again", "wgan verify --model generator.int8.onnx --adopt"),
)


def verify(
    model: Annotated[
        PlaceOf | None,
        typer.Option(
            help="one artifact, or a folder of them, here or s3://… [default: the run's export/]",
            metavar="FILE|DIR",
            autocompletion=models,
            parser=option("--model", remote=True),
        ),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(
            "--format", help="of a folder only the artifacts of this format", metavar="NAME", autocompletion=formats
        ),
    ] = None,
    run: RunOption = None,
    adopt: Annotated[
        bool,
        typer.Option("--adopt", help="write the report into files that a tool changed, if they hold: artifacts again"),
    ] = False,
    reference: Annotated[
        PlaceOf | None,
        typer.Option(
            help="what they were exported from [default: generator.pt beside each]",
            metavar="FILE",
            parser=option("--reference", file=True, remote=True),
        ),
    ] = None,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Measure artifacts against PyTorch again."""
    from wgan.serve.artifacts.artifact import holds_artifacts
    from wgan.serve.artifacts.find import newest_run
    from wgan.serve.artifacts.remote import local

    need_training()
    _refuse_built_in(model)
    from wgan.export.adopt import not_adopted
    from wgan.export.table import parity_table
    from wgan.export.verify import refuse_adopting, verify_place
    from wgan.results import Verification

    refuse_adopting(model, adopt)
    place = (run or newest_run()) / "export" if model is None else local(model, reference=reference is None)
    made_from = None if reference is None else local(reference)
    alone = model is not None and not holds_artifacts(place)
    detail(f"artifacts of {place}")
    measured = verify_place(place, made_from, alone=alone, device=device, adopt=adopt, kind=format)
    rows = Verification(tuple(measured))
    say_once(row.notice for row in rows)
    say_once(row.leak for row in rows)
    emit(rows.to_dict(), parity_table(rows.artifacts), as_json)
    if adopt:
        say_once(not_adopted(rows.artifacts))
    _end_unless_whole(rows)
    _onward(rows, as_json)


def _end_unless_whole(rows: "Verification") -> None:
    """Ends with the exit code of what does not match, or could not be measured."""
    from wgan.export.verify import Refused, why_not

    if any(not isinstance(row, Refused) and row.passed is False for row in rows):
        raise typer.Exit(1)
    if all(isinstance(row, Refused) or row.passed is None for row in rows):
        fault(f"wgan: nothing could be measured here: {why_not(rows.artifacts[0])}")
        raise typer.Exit(2)
    if rows.passed is False:  # of what was refused
        raise typer.Exit(2)


def _refuse_built_in(model: Place | None) -> None:
    from wgan.serve.artifacts.find import BUILT_IN

    if model == Path(BUILT_IN):
        raise ConfigError(
            "the built-in generator comes without the checkpoint that it was measured against: "
            "`bash scripts/train_builtin.sh` makes both"
        )


def _onward(rows: "Verification", as_json: bool) -> None:
    """An artifact that holds can be sampled from."""
    from wgan.export.verify import Refused
    from wgan.serve.artifacts.formats import backends_of

    held = [row for row in rows if not isinstance(row, Refused) and row.passed]
    held.sort(key=lambda row: (row.metadata.format != "onnx", row.metadata.precision != "fp32"))
    for row in held[:1]:
        onward(as_json, with_model(row.path, backends_of(row.metadata.format)[0].name, "sample", "-n", 64))
