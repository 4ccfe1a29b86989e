"""`wgan help`."""

from typing import Annotated, Any

import typer

from wgan.commands.values import command_names
from wgan.serve.base.terminal import show


def show_help(
    ctx: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="[COMMAND]", help="whose help [default: all]", autocompletion=command_names)
    ] = None,
) -> None:
    """Show the help of a command."""
    root: Any = ctx.find_root()
    if name is None:
        show(root.get_help())
        return
    _, command, _ = root.command.resolve_command(root, [name])
    names = root.help_option_names
    command.main(["--help"], prog_name=f"wgan {name}", standalone_mode=False, help_option_names=names)
