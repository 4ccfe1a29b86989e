"""What a setting's value must be, alone and beside the others."""

import math
import reprlib
from dataclasses import Field, fields
from typing import TYPE_CHECKING, Any

from wgan.serve.base.address import is_address, parse_address
from wgan.serve.base.errors import ConfigError
from wgan.serve.base.paths import not_a_path
from wgan.serve.base.privacy import LONGEST, not_a_name
from wgan.serve.base.terminal import counted
from wgan.training.config.colour import WHITE

if TYPE_CHECKING:
    from wgan.training.config.settings import Config

_KINDS: dict[Any, str] = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


def check_field(field: "Field[Any]", value: Any) -> None:
    """Refuses a value of the wrong type, or out of the field's bounds or choices. Raises ConfigError."""
    choices, low, high = (field.metadata[key] for key in ("choices", "low", "high"))
    name, kind = field.name, field.type
    if value is None and kind is str:
        raise ConfigError(f"{name} has no value; in YAML text that begins with # is a comment, so put it into quotes")
    if type(value) is not kind:
        raise ConfigError(f"{name}={shown(value)} is not {_KINDS[kind]}")
    if choices and value not in choices:
        bare = shown(value).strip("'")
        raise ConfigError(f"{name}={bare} is not one of {', '.join(map(str, choices))}")
    if kind is float and not math.isfinite(value):
        raise ConfigError(f"{name}={value} is not a finite number")
    if low is not None and not low <= value <= high:
        raise ConfigError(f"{name}={shown(value)} is outside its range, {low:,} to {high:,}")
    if kind is str and not value:
        raise ConfigError(f"{name} is empty")
    if (refuse := field.metadata["refuse"]) is not None and (why := refuse(value)) is not None:
        raise ConfigError(f"{name}={shown(value)} {why}")


def not_data(text: str) -> str | None:
    """Why the text is neither a path nor an address in object storage; None where it is. Raises ConfigError."""
    if is_address(text):
        parse_address(text, "data")  # says itself what is wrong, as an address may hold what is not to be repeated
        return None
    return None if text[:7].lower() == "file://" else not_a_path(text)


def not_a_data_name(text: str) -> str | None:
    """Why the text cannot be what the data is called, and what can; None where it can."""
    why = not_a_name(text)
    return why and f"{why}: give a name of at most {LONGEST} characters, without folders"


def shown(value: Any) -> str:
    """A value as error messages show it, shortened: one from a file may be nested deeply or have a million digits."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = 80
    try:
        return short.repr(value)
    except ValueError:
        return "a number of thousands of digits"


def check_parts(config: "Config", processes: int = 1) -> None:
    """Refuses a batch that cannot be cut into the parts that are computed at once.

    Raises:
        ConfigError: names what does not divide what.
    """
    parts = config.accumulate * processes
    part, left = divmod(config.batch_size, parts)
    if left:
        among = f"{processes} processes of {config.accumulate}" if processes > 1 else f"accumulate={config.accumulate}"
        raise ConfigError(f"batch_size={config.batch_size} cannot be cut into equal parts, {among}: choose a multiple")
    if config.minibatch != "none" and part % config.minibatch_group:
        raise ConfigError(
            f"minibatch_group={config.minibatch_group} does not divide the {counted(part, 'image')} computed at once: "
            "change it, batch_size or accumulate"
        )


def check_together(config: "Config") -> None:
    """Refuses settings that exclude each other. Raises ConfigError."""
    check_parts(config)
    if config.data_name == "faces" != config.data:
        raise ConfigError("data_name=faces is what the built-in dataset is called: give other data another name")
    if config.channels == 4 and config.background != WHITE:
        raise ConfigError(
            f"background={config.background} is never used with channels=4, which keeps transparency: "
            "leave it out, or use channels=3"
        )
    if config.attention > config.image_size // 2:
        raise ConfigError(
            f"attention={config.attention}: the features of {config.image_size} px images are "
            f"at most {config.image_size // 2} wide"
        )
    if config.progressive and config.image_size < 16:
        raise ConfigError(f"progressive: image_size={config.image_size} leaves nothing to grow to")


def changed_on_resume(saved: "Config", wanted: "Config", anew: str) -> None:
    """Refuses a resumed run whose networks, data or random streams would differ from the saved ones.

    Args:
        saved: its settings.
        wanted: those that it is to go on with.
        anew: the command that starts a new run with them.

    Raises:
        ConfigError: names the first setting that a resumed run cannot change.
    """
    for field in fields(wanted):
        name = field.name
        before, now = getattr(saved, name), getattr(wanted, name)
        if field.metadata["fixed"] and before != now:
            raise ConfigError(f"{name} was {before} in this run and cannot become {now}: start a new run: `{anew}`")
