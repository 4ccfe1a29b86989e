"""How a run goes on, or is begun anew with its settings: as whole commands, for whoever reads what went wrong."""

from collections.abc import Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Any

from wgan.serve.base.command import Word, again, chosen, command
from wgan.training.config import Config
from wgan.training.records.folder import RunFolder

Settings = Mapping[str, Any]
NONE: Settings = MappingProxyType({})


def going_on(run: RunFolder, settings: Settings = NONE, config: Config | None = None) -> str:
    """`wgan train --resume --run runs/a lr_g=5e-05`.

    Args:
        run: the run.
        settings: that it goes on with.
        config: what it was to go on with this time: what that changes is kept.
    """
    words: list[Word] = ["train", "--resume", "--run", run.named, *chosen("--device")]
    return command(*words, **{**_changes(run, config), **settings})


def anew(run: RunFolder, settings: Settings = NONE, config: Config | None = None) -> str:
    """`wgan train --config runs/a/config.yaml spectral_norm=critic`: a new run with the settings of this one."""
    words: list[Word] = ["train", "--config", run.config, *chosen("--device")]
    return command(*words, **{**_changes(run, config), **settings})


def same_again(run: RunFolder) -> str:
    """What goes on with a run that was stopped: `wgan demo` where that was it, which then does the rest too."""
    return again(of=("demo",)) or going_on(run)


def _changes(run: RunFolder, config: Config | None) -> dict[str, Any]:
    """What ``config`` has that the run was not begun with."""
    if config is None or not run.config.is_file():
        return {}
    saved = run.read_config()
    pairs = ((field.name, getattr(config, field.name)) for field in fields(config))
    return {name: value for name, value in pairs if value != getattr(saved, name)}
