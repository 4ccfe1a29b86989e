"""The import graph of the source: modules and folders as rooms, who imports whom, floors, and circles.

    python scripts/rooms.py            # a table a folder, and the figures
    python scripts/rooms.py --arrows   # each arrow between files too

A room stands one floor above the highest room that it imports. An arrow that runs up, or a circle, is a fault.
Needs the standard library alone; imports inside functions count, those for type checkers alone do not.
"""

import argparse
import ast
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("wgan", "export", "training", "serve")


def module_of(path: Path) -> str:
    """`serve/base/errors.py` → `wgan.serve.base.errors`; `wgan/cli.py` → `wgan.cli`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts if parts[0] == "wgan" else ("wgan", *parts)).removesuffix(".__init__")


def imported(tree: ast.AST) -> Iterator[str]:
    """Dotted names that a module imports; those under `if TYPE_CHECKING` are left out."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            yield from imported(ast.Module(node.orelse, []))
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        else:
            yield from imported(node)


def graph(root: Path = ROOT) -> dict[str, set[str]]:
    """Module → the modules of ours that it imports."""
    files = {module_of(path): path for folder in FOLDERS for path in sorted((root / folder).rglob("*.py"))}
    arrows: dict[str, set[str]] = {name: set() for name in files}
    for name, path in files.items():
        for target in imported(ast.parse(path.read_text("utf-8"))):
            while target and target not in files:
                target = target.rpartition(".")[0]
            if target and target != name and not name.startswith(target + "."):
                arrows[name].add(target)
    return arrows


def room_of(module: str, files: dict[str, set[str]]) -> str:
    """The room that a module lies in: `wgan.serve.backends.trt.api` → `wgan.serve.backends`, `wgan.cli` → itself."""
    parts = module.split(".")
    depth = 3 if len(parts) > 1 and parts[1] in FOLDERS else 2
    room = ".".join(parts[:depth])
    return room if any(name.startswith(room + ".") for name in files) or depth == 2 else module


def by_room(arrows: dict[str, set[str]]) -> dict[str, set[str]]:
    """The same graph between folders."""
    rooms: dict[str, set[str]] = defaultdict(set)
    for name, targets in arrows.items():
        room = room_of(name, arrows)
        rooms[room] |= {room_of(target, arrows) for target in targets} - {room}
    return dict(rooms)


def circles(arrows: dict[str, set[str]]) -> list[list[str]]:
    """Groups of nodes that reach each other (Tarjan 1972), largest first."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    groups: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for target in sorted(arrows.get(node, ())):
            if target not in index:
                visit(target)
                low[node] = min(low[node], low[target])
            elif target in stack:
                low[node] = min(low[node], index[target])
        if low[node] == index[node]:
            group = []
            while not group or group[-1] != node:
                group.append(stack.pop())
            if len(group) > 1:
                groups.append(sorted(group))

    for node in sorted(arrows):
        if node not in index:
            visit(node)
    return sorted(groups, key=lambda group: (-len(group), group))


def floors(arrows: dict[str, set[str]]) -> dict[str, int]:
    """Node → its floor, 1 for what imports nothing of ours; a circle stands on one floor."""
    group_of = {node: tuple(group) for group in circles(arrows) for node in group}
    known: dict[tuple[str, ...], int] = {}

    def floor(group: tuple[str, ...]) -> int:
        if group not in known:
            below = {group_of.get(target, (target,)) for node in group for target in arrows.get(node, ())} - {group}
            known[group] = 1 + max((floor(other) for other in below), default=0)
        return known[group]

    return {node: floor(group_of.get(node, (node,))) for node in arrows}


def figures(arrows: dict[str, set[str]], within: str = "wgan") -> dict[str, int]:
    """Counts of the part of the graph that lies under a package."""
    inside = {
        name: {target for target in targets if target.startswith(within)}
        for name, targets in arrows.items()
        if name == within or name.startswith(within + ".")
    }
    return {
        "rooms": len(inside),
        "floors": max(floors(inside).values(), default=0),
        "arrows": sum(map(len, inside.values())),
        "circles": len(circles(inside)),
    }


def main() -> None:
    """Prints the graph, and its figures as one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--arrows", action="store_true", help="each arrow between folders, and the files of each circle"
    )
    arguments = parser.parse_args()
    modules = graph()
    rooms = by_room(modules)
    level = floors(rooms)
    for room in sorted(rooms, key=lambda room: (-level[room], room)):
        print(f"{level[room]:2}  {room:32} → {', '.join(sorted(name.removeprefix('wgan.') for name in rooms[room]))}")
    if arguments.arrows:
        for name, targets in sorted(modules.items()):
            print(f"{name} → {', '.join(sorted(targets))}")
        for kind, nodes in (("files", modules), ("folders", rooms)):
            for group in circles(nodes):
                print(f"circle of {kind}: {', '.join(group)}")
    print(json.dumps({"files": figures(modules), "folders": figures(rooms)}))


if __name__ == "__main__":
    main()
