"""What all commands share: their common options, and how they speak."""

import functools
import inspect
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wgan.commands.layout import GENERAL, Command, Example
from wgan.commands.mirrored import Use, Visits
from wgan.commands.numbers import read_by
from wgan.commands.values import backends, devices, models, runs, settings
from wgan.serve.base.errors import ConfigError, WganError
from wgan.serve.base.paths import option
from wgan.serve.base.progress import duration
from wgan.serve.base.terminal import detail, quiet, say, verbose

if TYPE_CHECKING:
    from wgan.serve.base.address import Place

    PlaceOf = Place
else:
    PlaceOf = Path  # typer takes no union: an option's parser makes the one or the other

WHICH, HOW = "which generator", "how to run"  # groups of options

JsonOption = Annotated[
    bool, typer.Option("--json", help="print one JSON object instead of text", rich_help_panel=GENERAL)
]
DeviceOption = Annotated[
    str,
    typer.Option("--device", help="auto, cpu or cuda", metavar="NAME", autocompletion=devices, rich_help_panel=HOW),
]
BackendOption = Annotated[
    str | None,
    typer.Option(
        help="torch, torchscript, onnx, trt or browser [default: by --model, else onnx]",
        metavar="NAME",
        autocompletion=backends,
        rich_help_panel=HOW,
    ),
]
ModelOption = Annotated[
    PlaceOf | None,
    typer.Option(
        help="artifact, here or s3://…, or faces: the built-in [default: in the run's export/]",
        metavar="FILE",
        autocompletion=models,
        parser=option("--model", remote=True),
        rich_help_panel=WHICH,
    ),
]
RunOption = Annotated[
    Path | None,  # an address is fetched before the command sees it: see `mirrored`
    typer.Option(
        "--run",
        help="run folder, here or s3://… [default: the newest under runs/]",
        metavar="DIR",
        autocompletion=runs,
        parser=option("--run", remote=True),
        rich_help_panel=WHICH,
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[key=value]...", help="settings to change", autocompletion=settings, rich_help_panel="what to train"
    ),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="say nothing but results and errors", rich_help_panel=GENERAL)
]
Verbose = Annotated[
    bool,
    typer.Option(
        "--verbose",
        "-v",
        help="say which files were chosen and how long it took; errors with their traceback",
        rich_help_panel=GENERAL,
    ),
]


class StoppedAndSaved(Exception):
    """A signal ended the command after it saved and said so."""


def add(
    app: typer.Typer,
    function: Callable[..., None],
    *,
    panel: str,
    name: str | None = None,
    examples: Sequence[Example] = (),
    more: Callable[[int], str] | None = None,
    use: Use | None = None,
) -> None:
    """Makes a function a command of the program, with the options that all commands have.

    Args:
        app: the program.
        function: its parameters are the options; its docstring is the help.
        panel: the group of commands in which it is listed.
        name: of the command; None: the function's.
        examples: the end of its help.
        more: a part of its help, given the width.
        use: what it does with a run at an address.
    """
    own: dict[str, Any] = {"examples": tuple(examples)}
    if more is not None:
        own["more"] = lambda self, width: more(width)
    kind = type(f"{function.__name__.title()}Command", (Command,), own)
    app.command(name or function.__name__, cls=kind, rich_help_panel=panel)(_spoken(function, use))


def _spoken(function: Callable[..., None], use: Use | None) -> Callable[..., None]:
    """The function with `-q` and `-v`, which may stand before the command's name too, and its runs at hand."""

    signature = inspect.signature(function)
    of_context = [name for name, each in signature.parameters.items() if each.annotation is typer.Context]

    @functools.wraps(function)
    def command(ctx: typer.Context, quiet_here: bool, verbose_here: bool, **options: Any) -> None:
        before = ctx.find_root().params
        wants_quiet, wants_verbose = quiet_here or before.get("quiet"), verbose_here or before.get("verbose")
        if wants_quiet and wants_verbose:
            raise ConfigError("--quiet and --verbose exclude each other: leave one of them out")
        began = time.perf_counter()
        with ExitStack() as open_:
            open_.enter_context(quiet(bool(wants_quiet)))
            open_.enter_context(verbose(bool(wants_verbose)))
            try:
                visits = Visits(use, options)
                try:
                    function(**dict.fromkeys(of_context, ctx), **options)
                except typer.Exit:  # done too: a check did not hold
                    visits.put_back()
                    raise
                visits.put_back()
            except WganError:
                if wants_verbose:
                    import traceback

                    say(traceback.format_exc().rstrip())
                raise
            finally:
                detail(f"took {duration(time.perf_counter() - began)}")

    extra = {"ctx": typer.Context, "quiet_here": Quiet, "verbose_here": Verbose}
    kinds = inspect.Parameter
    added = [
        kinds(name, kinds.KEYWORD_ONLY, annotation=kind, default=kinds.empty if name == "ctx" else False)
        for name, kind in extra.items()
    ]
    own = (each for name, each in signature.parameters.items() if name not in of_context)
    parameters = [each.replace(kind=kinds.KEYWORD_ONLY) for each in own]
    command.__signature__ = signature.replace(parameters=[*parameters, *added])  # type: ignore[attr-defined]
    for name, annotation in function.__annotations__.items():
        read_by(name, annotation)
    given = {name: kind for name, kind in function.__annotations__.items() if name not in of_context}
    command.__annotations__ = {**given, **extra}
    return command
