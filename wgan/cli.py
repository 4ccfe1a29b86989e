"""The command line: `wgan train | export | verify | sample | serve | eval | bench | doctor | settings | help | demo`.

Results go to stdout, everything else to stderr. Exit codes: 0 done, 1 a check did not hold,
2 something the user can mend (one line), 130 interrupted.

Each command is in a module of its own and imports what it needs inside itself, so that `wgan sample`
never loads torch for ONNX.
"""

import json
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from wgan.commands import bench, demo, doctor, eval, export, mirrored, report, sample, serve, settings, train, verify
from wgan.commands.console import Quiet, StoppedAndSaved, Verbose, add
from wgan.commands.help import show_help
from wgan.commands.layout import Command, Group
from wgan.commands.mistaken import meant
from wgan.serve.base.command import again, called
from wgan.serve.base.errors import WganError
from wgan.serve.base.terminal import Undelivered, fault, show
from wgan.serve.base.written import put, standard_streams
from wgan.serve.machine.cores import spin_briefly

INTERRUPTED = 130
LONGEST = 2000  # characters of the line that says what is wrong


class Program(Group):
    """The program, with the three commands of its whole road as examples."""

    examples = (
        ("train on a folder of images for ten minutes", "wgan train --data photos minutes=10"),
        ("write the generator as ONNX, measured against PyTorch", "wgan export --format onnx"),
        ("make 64 images", "wgan sample -n 64"),
    )


app = typer.Typer(
    help="Train a WGAN-GP on a folder of images and deploy its generator anywhere, proven equal to PyTorch.",
    cls=Program,
    context_settings={"help_option_names": ["-h", "--help"]},
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from wgan.version import version

        show(f"wgan {version()}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", "-V", callback=_show_version, is_eager=True, help="print the version and exit"),
    ] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    pass


MAKE, USE, KNOW = "make a generator", "use and measure it", "know more"
add(app, demo.demo, panel=MAKE, examples=demo.EXAMPLES)
add(app, train.train, panel=MAKE, examples=train.EXAMPLES, more=settings.listed)
add(app, export.export, panel=MAKE, examples=export.EXAMPLES, use=mirrored.EXPORT)
add(app, verify.verify, panel=MAKE, examples=verify.EXAMPLES, use=mirrored.VERIFIED)
add(app, sample.sample, panel=USE, examples=sample.EXAMPLES, use=mirrored.ARTIFACT)
add(app, serve.serve, panel=USE, examples=serve.EXAMPLES, use=mirrored.ARTIFACT)
add(app, eval.evaluate, panel=USE, name="eval", examples=eval.EXAMPLES, use=mirrored.ARTIFACT)
add(app, bench.bench, panel=USE, examples=bench.EXAMPLES, use=mirrored.ARTIFACTS)
add(app, report.report, panel=KNOW, examples=report.EXAMPLES, use=mirrored.PAGE)
add(app, doctor.doctor, panel=KNOW, examples=doctor.EXAMPLES)
add(app, settings.settings, panel=KNOW, examples=settings.EXAMPLES)
app.command("help", cls=Command, rich_help_panel=KNOW)(show_help)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    spin_briefly()
    with standard_streams(), called(words):
        return _run(words)


def _run(words: list[str]) -> int:
    as_json = "--json" in words
    try:
        code = app(args=words, prog_name="wgan", standalone_mode=False)
        if code == INTERRUPTED:  # what newer versions of typer make of a KeyboardInterrupt
            raise KeyboardInterrupt
        return code if isinstance(code, int) else 0
    except Undelivered as error:
        return _fail(str(error), error.exit_code)
    except StoppedAndSaved:
        return INTERRUPTED
    except WganError as error:
        return _fail(str(error), error.exit_code, as_json)
    except KeyboardInterrupt:
        same = again(of=("export", "verify", "sample", "eval", "bench"))
        return _fail(f"interrupted; to do it again: `{same}`" if same else "interrupted", INTERRUPTED, as_json)
    except OSError as error:
        if error.filename is None:
            raise
        # a path that was asked for and cannot even be looked at: too long, or in a folder that is closed to us
        return _fail(f"{error.filename}: {error.strerror}; name another path", 2, as_json)
    except Exception as error:
        # usage errors come from typer or, before 0.26, from click: known by their shape
        if hasattr(error, "format_message"):
            return _fail(_usage(error, words), 2, as_json)
        if type(error).__name__ == "Abort":
            return _fail("interrupted", INTERRUPTED, as_json)
        raise


def _usage(error: Any, words: list[str]) -> str:
    """What is wrong with the words of a command, and where it is explained."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "wgan"
    if context is not None and context.parent is not None:
        own = [name for param in context.command.get_params(context) for name in param.opts]
        if (said := meant(words, own)) is not None:
            return said
    said = error.format_message()
    return f"{said}{'' if said.endswith(('.', '?', '!')) else '.'} See `{path} --help`."


def _fail(message: str, code: int, as_json: bool = False) -> int:
    line = " ".join(message.split())
    fault(f"wgan: {line if len(line) <= LONGEST else line[:LONGEST] + '…'}")
    if as_json:
        put(sys.stdout, json.dumps({"error": message, "exit_code": code}) + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
