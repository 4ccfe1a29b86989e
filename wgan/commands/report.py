"""`wgan report`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wgan.commands.console import JsonOption, RunOption
from wgan.commands.onward import onward, with_run
from wgan.commands.values import runs as known_runs
from wgan.commands.where import check_page
from wgan.models import need_training
from wgan.serve.base.errors import ConfigError
from wgan.serve.base.paths import option
from wgan.serve.base.terminal import emit

if TYPE_CHECKING:
    from wgan.training.report.data import ReportData

EXAMPLES = (
    ("the newest run's page, written again", "wgan report"),
    ("two runs on one page", "wgan report runs/a runs/b --out both.html"),
)
PAGE, COMPARISON = "report.html", "comparison.html"


def report(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[RUN]...",
            help="run folders, here or s3://…; several are compared [default: the newest under runs/]",
            autocompletion=known_runs,
            parser=option("RUN", remote=True),
        ),
    ] = None,
    run: RunOption = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help=f"the page [default: {PAGE} in the run, {COMPARISON} beside the first of several]",
            metavar="FILE",
            parser=option("--out", file=True),
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write the page of a run again, or one that compares runs."""
    need_training()
    from wgan.training.report import write_report
    from wgan.training.report.compare import write_comparison
    from wgan.training.report.data import load

    chosen = _runs([*(runs or []), *([] if run is None else [run])])
    if out is not None:
        check_page(out)
    if len(chosen) == 1:
        path = write_report(chosen[0], out=out)
    else:
        path = write_comparison(chosen, out or chosen[0].parent / COMPARISON)
    stand = [load(folder) for folder in chosen]
    rows = [_row(folder, one) for folder, one in zip(chosen, stand, strict=True)]
    emit({"report": str(path), "runs": rows}, f"report: {path}", as_json)
    nearest = min(zip(chosen, stand, strict=True), key=lambda pair: _swd(pair[1]))
    onward(as_json, with_run(nearest[0], "export", "--format", "onnx"))


def _runs(named: list[Path]) -> list[Path]:
    """The run folders, the newest where none is named. Raises ConfigError where one is no run."""
    from wgan.serve.artifacts.find import newest_run

    for folder in named:
        if not (folder / "config.yaml").is_file():
            raise ConfigError(f"{folder} is no run folder (it has no config.yaml): name one that `wgan train` made")
    return named or [newest_run()]


def _row(folder: Path, run: "ReportData") -> dict[str, Any]:
    """For `--json`: which generators there are."""
    return {
        "run": str(folder),
        "best": None if run.best is None else run.best.to_source(),
        "last": None if run.last is None else run.last.to_source(),
    }


def _swd(run: "ReportData") -> float:
    """Of what export ships; infinite where it was not measured."""
    return float("inf") if run.best is None else run.best.scores.get("swd", float("inf"))
