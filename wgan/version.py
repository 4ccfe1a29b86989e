"""Which version this is."""

from pathlib import Path


def version() -> str:
    """The version of the installed package; in a checkout that is not installed its pyproject.toml's, or "unknown"."""
    from importlib import metadata

    try:
        return metadata.version("wgan")
    except metadata.PackageNotFoundError:
        return in_checkout(Path(__file__).parents[1] / "pyproject.toml")


def in_checkout(project: Path) -> str:
    """The version that a pyproject.toml gives this package; "unknown" without one of ours."""
    import tomllib

    try:
        declared = tomllib.loads(project.read_text("utf-8")).get("project", {})
    except (OSError, ValueError):
        return "unknown"
    return str(declared.get("version", "unknown")) if declared.get("name") == "wgan" else "unknown"
