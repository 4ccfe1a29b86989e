"""Settings from words, mappings, presets and YAML files."""

import dataclasses
import difflib
from contextlib import suppress
from importlib.resources import files
from typing import Any

from wgan.serve.base.errors import ConfigError
from wgan.serve.base.paths import STDIN, named_path
from wgan.serve.base.streams import is_stream
from wgan.training.config import flat_yaml
from wgan.training.config.checks import shown
from wgan.training.config.settings import FIELDS, TEXTS, Config


def _coerce(name: str, value: Any) -> Any:
    kind = FIELDS[name].type
    if isinstance(value, bool) and "off" in FIELDS[name].metadata["choices"]:
        return "on" if value else "off"  # what YAML makes of the bare words
    if kind in (int, float) and isinstance(value, str) and not value.isascii():
        return value  # Python takes the digits of every script for numbers
    # YAML 1.1 reads 1e-4 as text and 10 as an int: both are numbers to us
    if kind is float and isinstance(value, int | str) and not isinstance(value, bool):
        try:
            return float(value)
        except (ValueError, OverflowError):
            return value
    if kind is int and isinstance(value, float | str):
        try:
            number = float(value)
        except ValueError:
            return value
        return int(number) if number.is_integer() else value
    if kind is str and isinstance(value, int | float):
        with suppress(ValueError):  # thousands of digits
            return str(value)
    return value


def from_dict(values: dict[str, Any], *, base: Config | None = None) -> Config:
    """A configuration from loose values over ``base`` (or the defaults).

    Raises:
        ConfigError: an unknown key (the text says which was meant), a wrong type, a value out of range.
    """
    for name in values:
        if name not in FIELDS:
            near = difflib.get_close_matches(str(name)[:80], FIELDS, n=1, cutoff=0.5)
            meant = f"did you mean {near[0]}?" if near else f"known: {', '.join(FIELDS)}"
            raise ConfigError(f"unknown setting {shown(name)}: {meant}")
    coerced = {name: _coerce(name, value) for name, value in values.items()}
    return dataclasses.replace(base or Config(), **coerced)


def parse_overrides(overrides: list[str]) -> dict[str, Any]:
    """`key=value` words from the command line as loose values."""
    values: dict[str, Any] = {}
    for word in overrides:
        name, equals, text = word.partition("=")
        if not equals:
            raise ConfigError(f"{shown(word)} is not key=value, for example batch_size=32")
        try:
            values[name.strip()] = text if name.strip() in TEXTS else flat_yaml.value(text)
        except flat_yaml.NotFlat:
            raise ConfigError(f"{shown(word)}: the value cannot be read") from None
    return values


def presets() -> list[str]:
    """The names that `--config` knows."""
    folder = files("wgan.training.presets")
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load(name: str) -> Config:
    """A preset by name, or a YAML file.

    Raises:
        ConfigError: no such preset or file, not YAML, or what `from_dict` finds.
    """
    if name in presets():
        return parse(files("wgan.training.presets").joinpath(f"{name}.yaml").read_text("utf-8"), name)
    path = named_path(name, "--config", dash=STDIN, file=True)
    if not path.is_file() and not is_stream(path):
        raise ConfigError(f"no preset or file {name!r}: presets are {', '.join(presets())}")
    try:
        return parse(path.read_text("utf-8"), name)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{name} cannot be read: {error}") from None


def parse(text: str, name: str) -> Config:
    """A configuration from YAML, which errors call by ``name``. Raises ConfigError."""
    try:
        values = flat_yaml.read(text, TEXTS)
    except flat_yaml.NotFlat as error:
        raise ConfigError(f"{name} is not YAML of `key: value` lines: {error}") from None
    return from_dict(dict(values))
