"""Recommended settings as commands: for those that a resumed run can take, and for those that need a new one."""

from collections.abc import Mapping
from typing import Any

from wgan.training.config import FIELDS, Config
from wgan.training.records.folder import RunFolder
from wgan.training.records.ways_on import anew, going_on

Remedy = Mapping[str, Any]  # setting → its new value

ITSELF = "the run"  # a value: the run that the advice is for
USUAL_RATE = 1e-4  # Gulrajani et al. 2017, algorithm 1
HIGHEST_RATE = 1e-3  # above it, Adam unsettles a WGAN-GP of DCGAN's shape


def lower(rate: float) -> float:
    """Half the learning rate, at most 1e-3."""
    return min(rate / 2, HIGHEST_RATE)


def higher(rate: float) -> float:
    """Twice the learning rate, but from 1e-4 to 1e-3."""
    return max(USUAL_RATE, min(2 * rate, HIGHEST_RATE))


def spectral(config: Config) -> str:
    """The critic's weights normalised, where no network's are (Miyato et al. 2018)."""
    return "critic" if config.spectral_norm == "none" else config.spectral_norm


def recommended(remedy: Remedy, config: Config, run: RunFolder) -> str:
    """What to try once the run has stopped, and what in a new run.

    Values that are out of a setting's range, or that the run has already, are left out.
    """
    words: dict[bool, dict[str, str]] = {False: {}, True: {}}
    current = config.to_dict()
    for name, value in remedy.items():
        limits = FIELDS[name].metadata
        beyond = limits.get("high") is not None and not limits["low"] <= value <= limits["high"]
        if not beyond and current.get(name) != value:
            value = run.path if value == ITSELF else value
            words[limits["fixed"]][name] = f"{value:g}" if isinstance(value, float) else str(value)
    ways = [f"stop it and try `{going_on(run, words[False])}`"] if words[False] else []
    ways += [f"try a new run, `{anew(run, words[True])}`"] if words[True] else []
    return ", or ".join(ways) if ways else "no setting is left to change, look at the data"
