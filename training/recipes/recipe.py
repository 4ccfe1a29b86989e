"""From what the images are to settings, and a line that says which and why."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from wgan.serve.artifacts.find import ROOT
from wgan.serve.base.terminal import counted
from wgan.training.config import OFTEN, Config, from_dict, load
from wgan.training.recipes.look import Look, look_at
from wgan.training.run.minutes import at_usual_times

MINUTES = 30.0  # of a run that says neither minutes nor steps
SIZES = (8, 16, 32, 64)  # of images that are not asked to be larger
BATCH = 32  # images, as was tried on collections that nobody here drew: docs/performance/quality.md
FEWEST_OF_A_CLASS = 16  # images; with fewer, folders are no labels to learn
MOST_CLASSES = 1000
CRITICS, CRITICS_WITH_LABELS = 1, 2  # with labels and one critic step each class comes out as one image
GREY, TRANSPARENT = 0.98, 0.02  # share of the images looked at
# core minutes on a CPU from which a preset's networks get enough steps
PRESETS = ((40.0, "faces-64"), (0.0, "demo"))


@dataclass(frozen=True)
class Recipe:
    """Settings to begin with, and what is said of them."""

    config: Config
    line: str


def recipe_for(look: Look, device: str, cores: int, given: Mapping[str, Any]) -> Recipe:
    """A preset's rates, networks as wide as the time allows, and the shape that the images have.

    The same for the same images, device kind, cores and settings: nothing is timed, so that a run that is started
    again is found again.

    Args:
        look: of the images.
        device: cpu or cuda.
        cores: that a CPU trains on.
        given: settings that were asked for; they stand, and the rest is chosen around them.

    Raises:
        ConfigError: a given setting is unknown or out of range.
    """
    chosen: dict[str, Any] = {}
    if "steps" not in given:
        chosen["minutes"] = MINUTES
    minutes = float(from_dict({"minutes": given["minutes"]}).minutes) if "minutes" in given else MINUTES
    preset = "faces-64" if device == "cuda" else next(name for least, name in PRESETS if minutes * cores >= least)
    base = load(preset)
    # a background is asked for to lay transparent images on
    channels = 3 if "background" in given and channels_of(look) == 4 else channels_of(look)
    chosen |= {"image_size": size_of(look), "channels": channels, "conditional": has_labels(look)}
    labels = bool(given.get("conditional", chosen["conditional"]))
    chosen["n_critic"] = CRITICS_WITH_LABELS if labels else CRITICS
    wide = from_dict(dict(given), base=base.replace(**chosen))
    # as wide at 4x4 as the preset at 64 px, whatever the image's size
    chosen["base_channels"] = max(1, base.base_channels * base.image_size // min(wide.image_size, base.image_size))
    chosen["batch_size"] = largest_power(min(BATCH, look.images))
    config = from_dict(dict(given), base=base.replace(**chosen))
    if config.minutes:  # how often it is looked at is settled with its steps
        config = from_dict(dict(given), base=config.replace(**{name: getattr(Config(), name) for name in OFTEN}))
    elif config.steps != base.steps:
        config = from_dict(dict(given), base=at_usual_times(config))
    return Recipe(config, line_of(look, device, cores, preset, config))


def recipe_for_data(given: Mapping[str, Any], device: str, cache: Path = ROOT / ".cache") -> Recipe:
    """`recipe_for` the images that the given settings name, or the built-in faces. ``cache``: as of `look_at`.

    Raises:
        ConfigError: a given setting is unknown or out of range.
        DatasetError: there are no images, or none that can be read.
    """
    asked = from_dict(dict(given))
    look = look_at(asked.data, count_faces=asked.faces_count, cache=cache)
    return recipe_for(look, device, torch.get_num_threads(), given)


def size_of(look: Look) -> int:
    """The largest usual size that does not enlarge half of the images."""
    return max((size for size in SIZES if size <= look.side), default=SIZES[0])


def channels_of(look: Look) -> int:
    """4 where some images have transparent parts, 1 where practically all are grey, else 3."""
    if look.transparent > TRANSPARENT:
        return 4
    return 1 if look.grey >= GREY else 3


def has_labels(look: Look) -> bool:
    """Whether the class folders are many images each."""
    return look.classes is not None and 2 <= look.classes <= MOST_CLASSES and look.smallest >= FEWEST_OF_A_CLASS


def largest_power(most: int) -> int:
    """The largest power of two up to ``most``, which is at least 1."""
    return 1 << (most.bit_length() - 1)


def line_of(look: Look, device: str, cores: int, preset: str, config: Config) -> str:
    """What was found and what was made of it."""
    kind = {1: "grey", 3: "colour", 4: "transparent"}[channels_of(look)]
    folders = "no class folders" if look.classes is None else counted(look.classes, "class folder")
    minutes = "1 minute" if config.minutes == 1 else f"{config.minutes:g} minutes"
    time = minutes if config.minutes else counted(config.steps, "step")
    where = counted(cores, "core") if device == "cpu" else device
    shown = ("image_size", "channels", "conditional", "n_critic", "base_channels", "batch_size")
    settings = " ".join(f"{name}={str(getattr(config, name)).lower()}" for name in shown)
    return (
        f"recipe: {counted(look.images, kind + ' image')} of {look.side} px, {folders}, {time} on {where}: the preset "
        f"{preset} with {settings}; set others by key=value; --config wgan-gp-64 takes those that WGAN-GP was "
        "published with"
    )
