"""What the shell completes behind options: names that are known without loading torch or a runtime."""

from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from typing import Any


def backends(incomplete: str) -> list[str]:
    """Names for `--backend`."""
    from wgan.serve.artifacts.formats import BACKENDS

    return _beginning(BACKENDS, incomplete)


def devices(incomplete: str) -> list[str]:
    """Names for `--device`."""
    from wgan.serve.backends.base import DEVICES

    return _beginning(DEVICES, incomplete)


def formats(incomplete: str) -> list[str]:
    """Names for `--format` of `wgan verify`."""
    from wgan.serve.artifacts.formats import FORMATS

    return _beginning(FORMATS, incomplete)


def export_formats(incomplete: str) -> list[str]:
    """Names for `--format`."""
    from wgan.serve.artifacts.formats import FORMATS

    return _beginning([*FORMATS, "all", "triton"], incomplete)


def presets(incomplete: str) -> list[str]:
    """Names for `--config`."""
    if find_spec("yaml") is None:
        return []
    from wgan.training.config import presets as names

    return _beginning(names(), incomplete)


def runs(incomplete: str) -> list[str]:
    """Run folders under runs/."""
    from wgan.serve.artifacts.find import runs_under

    return _beginning(sorted(str(path.parent) for path in runs_under()), incomplete)


def models(incomplete: str) -> list[str]:
    """Artifacts of the runs under runs/, and the built-in generator."""
    from wgan.serve.artifacts.find import BUILT_IN, runs_under
    from wgan.serve.artifacts.formats import FORMATS

    endings = tuple(row.ending for row in FORMATS.values())
    folders = [path.parent / "export" for path in runs_under()]
    files = [str(path) for folder in folders if folder.is_dir() for path in folder.iterdir()]
    return _beginning([BUILT_IN, *sorted(path for path in files if path.endswith(endings))], incomplete)


def one_of(*names: str) -> Any:
    """A function that completes these names."""

    def complete(incomplete: str) -> list[str]:
        return _beginning(names, incomplete)

    return complete


def command_names(ctx: Any, incomplete: str) -> list[str]:
    """Names for `wgan help`."""
    return _beginning(ctx.find_root().command.commands, incomplete)


def setting_names(incomplete: str) -> list[str]:
    """Names of settings."""
    return _beginning(_fields(), incomplete)


def settings(incomplete: str) -> list[str]:
    """`key=` and the values of those that have choices.

    bash takes `=` for the end of a word: what is completed there is the value alone.
    """
    import os

    fields = _fields()
    words = os.environ.get("COMP_WORDS", "").split()
    if not incomplete.strip("=") and words[-1:] == ["="] and len(words) > 1:
        return list(_values(fields, words[-2]))
    if words[-2:-1] == ["="] and len(words) > 2 and words[-1] == incomplete:
        return _beginning(_values(fields, words[-3]), incomplete)
    name, equals, _ = incomplete.partition("=")
    if equals:
        return _beginning((f"{name}={value}" for value in _values(fields, name)), incomplete)
    return _beginning((f"{field}=" for field in fields), incomplete)


def _fields() -> dict[str, Any]:
    if find_spec("yaml") is None:
        return {}
    from wgan.training.config import FIELDS

    return FIELDS


def _values(fields: dict[str, Any], name: str) -> Iterator[str]:
    field = fields.get(name)
    if field is None:
        return
    if field.type is bool:
        yield from ("true", "false")
    yield from map(str, field.metadata["choices"])


def _beginning(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
