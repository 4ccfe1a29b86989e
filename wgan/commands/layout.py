"""How help is laid out: options in groups, then examples; readable from 44 columns on, and in plain ASCII too."""

import inspect
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from typer.core import TyperCommand, TyperGroup

from wgan.serve.base.fold import terminal_width
from wgan.serve.base.paint import painted
from wgan.serve.base.terminal import shown

Example = tuple[str, str]  # what it does, and the command
WIDEST = 120
NARROW = 60  # columns, below which a meaning stands below its option
NAMES = 26  # columns of the names beside their meanings
OLD = ("--backends", "--batch-sizes")  # names that options had, and still take
GENERAL = "general"  # options that every command has


class Command(TyperCommand):
    """A command whose help ends in examples."""

    examples: ClassVar[Sequence[Example]] = ()

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Reads the words; help, which is printed meanwhile, survives any terminal."""
        with shown():
            return super().parse_args(ctx, args)

    def more(self, width: int) -> str:
        """A part of the help that only this command has."""
        return ""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Writes the whole help."""
        width = _width()
        parts = [*_begin(self, ctx, width), *_options(self, ctx, width), self.more(width)]
        formatter.write(_text([*parts, _examples(self.examples, width)]))


class Group(TyperGroup):
    """The program: its commands in groups, then its options and examples."""

    examples: ClassVar[Sequence[Example]] = ()

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Reads the words; help and scripts for shells, which are printed meanwhile, survive any terminal."""
        with shown():
            return super().parse_args(ctx, args)

    def _main_shell_completion(self, *args: Any, **options: Any) -> None:
        with shown():
            super()._main_shell_completion(*args, **options)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Writes the whole help."""
        width = _width()
        kinds: dict[str, list[tuple[str, str]]] = {}
        for name, command in self.commands.items():
            if not command.hidden:
                kinds.setdefault(getattr(command, "rich_help_panel", None) or "commands", []).append(
                    (name, inspect.cleandoc(command.help or "").split("\n\n")[0])
                )
        commands = [section(kind, rows, width) for kind, rows in kinds.items()]
        parts = [*_begin(self, ctx, width), *commands, *_options(self, ctx, width)]
        formatter.write(_text([*parts, _examples(self.examples, width)]))


def _width() -> int:
    return min(terminal_width(), WIDEST)


def _text(parts: Iterable[str]) -> str:
    return "\n\n".join(filter(None, parts)) + "\n"


def _begin(command: Any, ctx: Any, width: int) -> list[str]:
    """The usage, and what the command is for."""
    own = [str(param.metavar) for param in command.params if param.param_type_name == "argument"]
    words = " ".join(["[options]", *(own or (["COMMAND ..."] if isinstance(command, Group) else []))])
    usage = textwrap.fill(f"Usage: {ctx.command_path} {words}", width, subsequent_indent=" " * 7)
    paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
    return [usage, *(textwrap.fill(" ".join(text.split()), width) for text in paragraphs if text)]


def _options(command: Any, ctx: Any, width: int) -> list[str]:
    """Arguments and options in their groups; those that every command has come last."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for param in command.get_params(ctx):
        if getattr(param, "hidden", False):
            continue
        group = getattr(param, "rich_help_panel", None) or (GENERAL if param.name == "help" else "options")
        groups.setdefault(group, []).append((_names(param), _meaning(param)))
    general = groups.pop(GENERAL, [])
    return [section(title, rows, width) for title, rows in [*groups.items(), (GENERAL, general)] if rows]


def _names(param: Any) -> str:
    """`-h, --help`, `--seed SEED`."""
    if param.param_type_name == "argument":
        return str(param.metavar or param.name)
    names = ", ".join(sorted((name for name in param.opts if name not in OLD), key=len))
    return names if param.is_flag else f"{names} {param.metavar or 'VALUE'}"


def _meaning(param: Any) -> str:
    """The help of an option, with its default."""
    if param.name == "help":
        return "show this help and exit"
    text = str(param.help or "")
    default = param.default
    plain = isinstance(default, int | float | str) or hasattr(default, "__fspath__")
    if param.required:
        text += " [required]"
    elif plain and not isinstance(default, bool) and "[default" not in text and getattr(param, "show_default", True):
        text += f" [default: {default}]"
    return text


def section(title: str, rows: Sequence[tuple[str, str]], width: int) -> str:
    """A title, and below it names with their meanings beside them, or below them where it is narrow."""
    return "\n".join([heading(title), *listing(rows, width)])


def listing(rows: Sequence[tuple[str, str]], width: int) -> list[str]:
    """Lines of names with their meanings beside them, or below them where it is narrow."""
    lines = []
    if width < NARROW:
        for name, meaning in rows:
            lines += [f"  {name}", *wrapped(meaning, width, " " * 6)]
        return lines
    longest = min(max(len(name) for name, _ in rows), NAMES)
    indent = " " * (longest + 4)
    for name, meaning in rows:
        text = wrapped(meaning, width, indent) or [indent]
        first = f"  {name:<{longest}}  "
        lines += [first + text[0].lstrip(), *text[1:]] if len(name) <= longest else [f"  {name}", *text]
    return [line.rstrip() for line in lines]


def wrapped(text: str, width: int, indent: str) -> list[str]:
    """Lines of a text, none of them broken inside a word."""
    return textwrap.wrap(
        text, width, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def heading(title: str) -> str:
    """`Title:`"""
    return painted(f"{title[0].upper()}{title[1:]}:", "bold")


def _examples(examples: Sequence[Example], width: int) -> str:
    """Each command below what it does; a long one goes on after a backslash, so that it can be pasted."""
    if not examples:
        return ""
    lines = [heading("examples")]
    for meaning, words in examples:
        lines += wrapped(meaning, width, "  ")
        parts = textwrap.wrap(
            words, width - 2, initial_indent="    ", subsequent_indent="      ", break_long_words=False,
            break_on_hyphens=False,
        )  # fmt: skip
        lines.append(" \\\n".join(parts))
    return "\n".join(lines)
