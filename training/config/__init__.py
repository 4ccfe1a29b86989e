"""The configuration of a run: one flat, frozen dataclass. YAML and `key=value` only fill it."""

from wgan.training.config.checks import changed_on_resume, check_parts
from wgan.training.config.reading import from_dict, load, parse_overrides, presets
from wgan.training.config.settings import ACCEPT, AUTO, FIELDS, OFTEN, TEXTS, Config, setting

__all__ = [
    "ACCEPT",
    "AUTO",
    "FIELDS",
    "OFTEN",
    "TEXTS",
    "Config",
    "changed_on_resume",
    "check_parts",
    "from_dict",
    "load",
    "parse_overrides",
    "presets",
    "setting",
]
