"""`--run s3://…` of the commands that use a run: what each needs of it is fetched, what it writes into it is put back.

A command itself sees a folder of this machine. What it says names the address.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from wgan.serve.base.address import Address
from wgan.serve.base.command import command
from wgan.serve.base.errors import ConfigError

Options = Mapping[str, Any]  # of a command, by the names of its parameters
NONE: tuple[str, ...] = ()


def _nothing_written(options: Options) -> tuple[str, ...]:
    return NONE


@dataclass(frozen=True)
class Use:
    """What a command does with a run.

    Args:
        needs: of the command's options, which of the run's files it needs.
        writes: of the same, what the files that it writes into the run begin with.
    """

    needs: Callable[[Options], Callable[[str], bool]]
    writes: Callable[[Options], tuple[str, ...]] = _nothing_written


class Visits:
    """The runs that a command's options name by addresses, which are folders in ``options`` from then on."""

    def __init__(self, use: Use | None, options: dict[str, Any]):
        self._visits: list[Any] = []
        self._writes = NONE if use is None else use.writes(options)
        named = [options.get("run"), *(options.get("runs") or [])]
        if use is None or not any(isinstance(place, Address) for place in named):
            return
        from wgan.training.mirror.visit import Visit

        needs = use.needs(options)

        def folder(place: Any) -> Any:
            if not isinstance(place, Address):
                return place
            self._visits.append(Visit(place, needs))
            return self._visits[-1].folder

        for name in ("run", "runs"):
            value = options.get(name)
            if value is not None:
                options[name] = [folder(place) for place in value] if isinstance(value, list) else folder(value)

    def put_back(self) -> None:
        """Pushes what the command wrote into them. Raises StoreError."""
        if self._writes:
            for visit in self._visits:
                visit.put_back(self._writes)


def _artifact(options: Options) -> Callable[[str], bool]:
    """The artifact that a command runs, and what lies beside it."""
    from wgan.serve.artifacts.find import DEFAULT
    from wgan.serve.artifacts.formats import BACKENDS, CHECKPOINT, FORMATS, check_backend, format_named

    if options.get("watch"):
        way = command("serve", "--watch", "--model", f"{options['run']}/export/{FORMATS[DEFAULT].file}")
        raise ConfigError(f"--watch follows one file, not a run at an address: `{way}`")
    if options.get("model") is not None:
        return lambda name: False
    backend = options.get("backend") or DEFAULT
    check_backend(backend)
    kinds = [*BACKENDS[backend].formats, *((DEFAULT,) if backend == "trt" else ())]  # an engine is built of it
    files = {format_named(kind).file for kind in kinds}
    endings = tuple(row.ending for row in (*FORMATS.values(), CHECKPOINT))

    def needs(name: str) -> bool:
        folder, _, rest = name.partition("/")
        top, _, below = rest.partition("/")
        return folder == "export" and (top in files or not (below or top.endswith(endings)))

    return needs


def _exported(options: Options) -> Callable[[str], bool]:
    """All that lies in export/."""
    return lambda name: name.startswith("export/")


def _page(options: Options) -> Callable[[str], bool]:
    """All that a run's page shows, which is also what an export needs."""
    from wgan.training.mirror.visit import page

    runs = [*(options.get("runs") or []), *filter(None, [options.get("run")])]
    if len(runs) > 1 and options.get("out") is None:
        raise ConfigError("--out names the page that compares runs at addresses: --out comparison.html")
    return page


def _source(options: Options) -> Callable[[str], bool]:
    """The checkpoint, and what else lies in the run where the artifacts go into it."""
    from wgan.training.mirror.visit import checkpoint_alone

    which = options["checkpoint"]
    if which not in ("best", "last"):
        return _exported(options)
    return _page(options) if options.get("out") is None else checkpoint_alone(which)


def _into_run(*beginnings: str) -> Callable[[Options], tuple[str, ...]]:
    return lambda options: NONE if options.get("out") is not None else beginnings


ARTIFACT = Use(_artifact)
ARTIFACTS = Use(_exported)
VERIFIED = Use(_exported, lambda options: ("export/",) if options.get("adopt") else NONE)
PAGE = Use(_page, _into_run("report.html"))
EXPORT = Use(_source, _into_run("export/", "report.html"))
