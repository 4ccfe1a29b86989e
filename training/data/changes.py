"""How the images of a data set differ from those that it held before, in words."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from wgan.training.data.contents import Contents
from wgan.training.data.listing import printable

SHOWN = 3  # names of each kind
LONGEST = 48  # characters of a name


@dataclass(frozen=True)
class Changes:
    """Names of images, in their order. An image that can be read no longer is one removed."""

    added: Sequence[str] = ()
    removed: Sequence[str] = ()
    altered: Sequence[str] = ()  # another picture under the same name
    renamed: Sequence[tuple[str, str]] = ()  # the same picture under another name

    def counts(self) -> dict[str, int]:
        """How many of each kind."""
        return {kind: len(names) for kind, names in vars(self).items()}

    def told(self) -> str:
        """`25 added (a.png, b.png, c.png, …), 1 renamed (d.png to e.png)`: counts and first names."""
        parts = []
        for kind, names in vars(self).items():
            if names:
                parts.append(f"{len(names):,} {kind} ({some(names)})")
        return ", ".join(parts)


def compare(before: Contents, now: Contents) -> Changes:
    """What has happened to the images."""
    gone: dict[str, list[str]] = defaultdict(list)  # names by digest, the first one last
    for name in reversed([name for name in before if name not in now]):
        gone[before[name]].append(name)
    added, renamed = [], []
    for name in (name for name in now if name not in before):
        if same := gone[now[name]]:
            renamed.append((same.pop(), name))
        else:
            added.append(name)
    lost = {name for names in gone.values() for name in names}
    removed = [name for name in before if name in lost]
    altered = [name for name, digest in now.items() if before.get(name, digest) != digest]
    return Changes(added, removed, altered, renamed)


def some(names: Sequence[str | tuple[str, str]]) -> str:
    """The first of the names, on one line whatever is in them."""
    shown = [short(name) if isinstance(name, str) else " to ".join(map(short, name)) for name in names[:SHOWN]]
    return ", ".join([*shown, *(["…"] if len(names) > SHOWN else [])])


def short(name: str) -> str:
    """A name on one line; of a long one its beginning and its end."""
    name = printable(name)
    return name if len(name) <= LONGEST else f"{name[: LONGEST // 3]}…{name[-LONGEST * 2 // 3 :]}"
