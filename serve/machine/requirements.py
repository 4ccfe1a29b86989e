"""Which packages wgan and its extras ask for, and which of them are installed."""

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version


@dataclass(frozen=True)
class Gap:
    """What is missing, and the command that mends it."""

    why: str
    fix: str

    def __str__(self) -> str:
        return f"{self.why}; to mend it: {self.fix}"


@dataclass(frozen=True)
class Package:
    """A package that wgan asks for, with the bounds it was tested within."""

    name: str
    wanted: str  # ">=1.23"
    extra: str | None  # the first that brings it; None: the base
    installed: str | None

    @property
    def fits(self) -> bool:
        """Whether it is missing or within its bounds; a version that follows no rule is let pass."""
        try:
            return self.installed is None or Version(self.installed) in SpecifierSet(self.wanted, prereleases=True)
        except InvalidVersion:
            return True


def installed(name: str) -> str | None:
    """The installed version of a package, without importing it."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def packages(extras: Iterable[str]) -> list[Package]:
    """All that the base and these extras ask for on this platform, each once.

    Empty where wgan runs without being installed.
    """
    listed: dict[str, Package] = {}
    for extra in (None, *extras):
        for requirement in _asked_for("wgan", extra):
            name = canonicalize_name(requirement.name)
            if name not in listed and name != "wgan":
                listed[name] = Package(name, str(requirement.specifier), extra, installed(name))
    return list(listed.values())


def unmet(package: str, wanted: str) -> str | None:
    """The versions of ``wanted`` that ``package`` asks for, where another version is installed; None where it fits."""
    there = installed(wanted)
    for requirement in _asked_for(package, None):
        if canonicalize_name(requirement.name) == wanted and there is not None:
            return None if Package(wanted, str(requirement.specifier), None, there).fits else str(requirement.specifier)
    return None


def requirements_of(package: str, extra: str | None) -> list[str]:
    """What an extra, or for None the base, asks for on this platform: `onnxruntime>=1.23`, each once, as pip takes it.

    An extra that asks for another extra of the same package brings what that one asks for. Nothing without metadata.
    """
    words: dict[str, None] = {}
    for requirement in _asked_for(package, extra):
        if canonicalize_name(requirement.name) == package:
            for other in sorted(requirement.extras):
                words |= dict.fromkeys(requirements_of(package, other))
        else:
            requirement.marker = None
            words[str(requirement)] = None
    return list(words)


def _asked_for(package: str, extra: str | None) -> list[Requirement]:
    try:
        lines = metadata.requires(package) or []
        asked = [Requirement(line) for line in lines]
    except (metadata.PackageNotFoundError, InvalidRequirement):
        return []
    return [entry for entry in asked if _applies(entry, extra)]


def _applies(requirement: Requirement, extra: str | None) -> bool:
    """Whether the extra, or for None the base, brings this requirement here."""
    marker = requirement.marker
    if extra is None:
        return marker is None or marker.evaluate({"extra": ""})
    return marker is not None and marker.evaluate({"extra": extra}) and not marker.evaluate({"extra": ""})
