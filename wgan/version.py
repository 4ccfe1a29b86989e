"""Which version this is."""

from pathlib import Path


def version() -> str:
    """The version of the installed package; in a checkout that is not installed its pyproject.toml's, or "unknown"."""
    from importlib import metadata

    try:
        return metadata.version("wgan")
    except metadata.PackageNotFoundError:
        return _in_checkout(Path(__file__).parents[1] / "pyproject.toml")


def _in_checkout(project: Path) -> str:
    import tomllib

    try:
        declared = tomllib.loads(project.read_text("utf-8")).get("project", {})
    except (OSError, ValueError):
        return "unknown"
    return str(declared.get("version", "unknown")) if declared.get("name") == "wgan" else "unknown"
