"""Which files of a run folder its mirror has, and in which order they go there and come back.

At every moment what lies in the bucket is a run to go on from: settings and records first (records beyond a checkpoint
are dropped when the run goes on), then pictures (no start that has their checkpoint makes them again), checkpoints,
`best.pt`, and what shows them; what is old is removed last. Not mirrored are locks, temporary files, damaged
checkpoints and the cache, which lies beside the run.
"""

import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

CONFIG, METRICS = "config.yaml", "metrics.jsonl"
MARK = ".mirror.json"  # in a folder on this disk: which run of which address it is, and what of it has been pushed
OWNER = "owner.json"  # at the address: which run lies there, and which start of it pushes
BEST = "checkpoints/best.pt"
_FIRST = (CONFIG, "run.json", METRICS)
_FILES = (*_FIRST, "data.json.gz", "timings.json", "sampling.json", "report.html")
_FOLDERS = ("samples", "export", "tensorboard")  # all that lies in them
_STEP = re.compile(r"checkpoints/step-(\d{1,18})\.pt")
_TEMPORARY = re.compile(r"(^|/)\.|\.damaged$")


def is_part(name: str) -> bool:
    """Whether a name below a run's folder is one that its mirror has."""
    if _TEMPORARY.search(name) or not name.isprintable() or "\\" in name or ":" in name:
        return False  # no name of an object leads out of the folder that it is put in
    top = PurePosixPath(name).parts[0]
    return name in _FILES or name == BEST or step_of(name) is not None or (top in _FOLDERS and top != name)


def step_of(name: str) -> int | None:
    """The step of `checkpoints/step-00000012.pt`; None for any other name."""
    found = _STEP.fullmatch(name)
    return None if found is None else int(found[1])


def steps_in(names: Iterable[str]) -> dict[int, str]:
    """Step checkpoints among ``names``, newest first."""
    found = {step: name for name in names if (step := step_of(name)) is not None}
    return dict(sorted(found.items(), reverse=True))


def parts_of(folder: Path) -> dict[str, tuple[int, int]]:
    """The files of a run folder that are mirrored, with their size in bytes and their time of change in ns."""
    found: dict[str, tuple[int, int]] = {}
    places = [folder / name for name in _FILES]
    for name in ("checkpoints", *_FOLDERS):
        places += (folder / name).rglob("*")
    for path in places:
        name = path.relative_to(folder).as_posix()
        if is_part(name):
            try:
                state = path.stat()
            except OSError:  # removed meanwhile, or not there
                continue
            if path.is_file():
                found[name] = state.st_size, state.st_mtime_ns
    return found


def in_order(names: Iterable[str]) -> list[str]:
    """As they are pushed: what comes later may name what comes before it."""

    def rank(name: str) -> tuple[int, int, str]:
        if name in _FIRST:
            return 0, _FIRST.index(name), name
        step = step_of(name)
        if step is not None:
            return 2, -step, name
        return (1 if name.startswith("samples/") else 3 if name == BEST else 4), 0, name

    return sorted(names, key=rank)


def in_order_of_arrival(names: Iterable[str]) -> list[str]:
    """As they are fetched: with `config.yaml` a folder is a run, so it comes last."""
    return sorted(in_order(names), key=lambda name: name == CONFIG)


def outlived(names: Iterable[str], newest: int, keep: int) -> list[str]:
    """Step checkpoints that are older than the ``keep`` newest up to ``newest``, as a run's own folder keeps them."""
    return [name for step, name in steps_in(names).items() if step <= newest][keep:]
