"""`wgan settings`: what a run can be told, by group, one by one, or as a JSON Schema for editors."""

import difflib
import json
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wgan.commands.console import JsonOption
from wgan.commands.layout import listing, section, wrapped
from wgan.commands.onward import onward
from wgan.commands.values import setting_names
from wgan.models import need_training
from wgan.serve.base.command import command, written
from wgan.serve.base.errors import ConfigError
from wgan.serve.base.fold import terminal_width
from wgan.serve.base.terminal import emit

if TYPE_CHECKING:
    from dataclasses import Field

EXPLAINED = "`wgan settings NAME` explains one of them, `wgan settings` all."
EXAMPLES = (
    ("all settings, by group", "wgan settings"),
    ("what one means, its range, its value in each preset", "wgan settings lambda_gp"),
    ("a JSON Schema, with which an editor completes and checks YAML files for --config", "wgan settings --schema"),
)


def settings(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="the setting to explain [default: all]", autocompletion=setting_names),
    ] = None,
    schema: Annotated[bool, typer.Option("--schema", help="print a JSON Schema of the YAML files")] = False,
    as_json: JsonOption = False,
) -> None:
    """Explain the settings of a run."""
    need_training()
    from wgan.training.config import FIELDS
    from wgan.training.config.groups import json_schema

    if schema:
        if name is not None:
            raise ConfigError(f"--schema is of all settings: leave out {name}")
        found = json_schema()
        emit(found, json.dumps(found, indent=1), as_json)
        return
    if name is None:
        emit({each: _facts(each) for each in FIELDS}, _all(terminal_width()), as_json)
        onward(as_json, "wgan settings steps")
        return
    name = name.partition("=")[0].strip().removeprefix("--").replace("-", "_")
    if name not in FIELDS:
        near = difflib.get_close_matches(name[:80], FIELDS, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else "`wgan settings` lists them all"
        raise ConfigError(f"there is no setting {name[:80]}: {hint}")
    facts = _facts(name)
    emit(facts, _explained(facts, terminal_width()), as_json)
    if not facts["path"]:
        onward(as_json, command("train", **{name: facts["example"]}))


def listed(width: int) -> str:
    """For the help of `wgan train`: the names by group; nothing where the package that reads settings is missing."""
    if find_spec("yaml") is None:
        return ""
    from wgan.training.config.groups import GROUPS

    rows = [(group, " ".join(names)) for group, names in GROUPS.items()]
    return "\n".join([section("settings, key=value", rows, width), *wrapped(EXPLAINED, width, "  ")])


def _all(width: int) -> str:
    """Every setting with its default and meaning."""
    from wgan.training.config import FIELDS
    from wgan.training.config.groups import GROUPS, default_of

    rows = {
        group: [(f"{name}={default_of(FIELDS[name])}", FIELDS[name].metadata["help"]) for name in names]
        for group, names in GROUPS.items()
    }
    return "\n\n".join(section(group, of_it, width) for group, of_it in rows.items())


def _facts(name: str) -> dict[str, Any]:
    """What is known of a setting."""
    from wgan.training.config import FIELDS, load, presets
    from wgan.training.config.groups import GROUPS, bounds_of

    field = FIELDS[name]
    return {
        "name": name,
        "group": next(group for group, names in GROUPS.items() if name in names),
        "meaning": field.metadata["help"],
        "type": field.type.__name__,  # type: ignore[union-attr]
        "default": field.default,
        "range": bounds_of(field),
        "resumed_run_may_change_it": not field.metadata["fixed"],
        "presets": {preset: getattr(load(preset), name) for preset in presets()},
        "path": name.startswith("init_") or name == "inception_weights",
        "example": _example(field),
    }


def _example(field: "Field[Any]") -> Any:
    """A value other than the default, where one is sure to be right beside all the others."""
    choices = field.metadata["choices"]
    other = [choice for choice in choices if choice != field.default]
    return field.default if not other or field.name in ("attention", "channels") else other[0]


def _explained(facts: dict[str, Any], width: int) -> str:
    """A setting, for people."""
    changed = "may change it" if facts["resumed_run_may_change_it"] else "keeps it"
    values = dict.fromkeys([facts["default"], *facts["presets"].values()])
    alike = {value: [name for name, own in facts["presets"].items() if own == value] for value in values}
    rows = [
        ("group", facts["group"]),
        ("default", written(facts["default"])),
        ("range", facts["range"] or "any text"),
        ("resumed run", changed),
        ("presets", "; ".join(f"{written(value)} in {', '.join(names)}" for value, names in alike.items() if names)),
    ]
    return "\n".join([facts["name"], *wrapped(facts["meaning"], width, "  "), "", *listing(rows, width)])
