"""Writes the parts of the documentation that the code knows: `python scripts/docs_tables.py [--check]`.

The tables of settings, of source files and of what options are worth, and the picture of the rooms. `--check` writes
nothing: exit code 1 if a part is no longer what the code says.
"""

import argparse
import ast
import html
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import compare_options
import rooms

from wgan.training.config import FIELDS
from wgan.training.config.groups import GROUPS, bounds_of, default_of

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
SEEDS = 3  # of a row of the table of options
UNITS = {"flops": "FLOPs", "seconds": "seconds"}
OPTIONS = "performance/options.jsonl"  # `--results` of scripts/compare_options.py
FOLDERS = {
    "wgan": "the face: `import wgan` and the command line",
    "export": "a checkpoint into artifacts, each proven",
    "training": "images into a checkpoint",
    "serve": "the only part that a deployed machine needs; never loads torch by itself",
    "scripts": "what is run from a checkout",
}


def settings_table() -> str:
    """A table a group, one row a setting: name, default, range, meaning."""
    parts = []
    for group, names in GROUPS.items():
        rows = [f"### {group[0].upper()}{group[1:]}", ""]
        rows += ["| setting | default | range | meaning |", "|---|---|---|---|"]
        for name in names:
            field = FIELDS[name]
            bounds = "" if field.type is bool else bounds_of(field)
            rows.append(f"| `{name}` | {default_of(field)} | {bounds} | {field.metadata['help']} |")
        parts.append("\n".join(rows))
    return "\n\n".join(parts)


def files_table() -> str:
    """One row a source file: its name, and the first paragraph of its docstring or leading comment."""
    parts = []
    for folder, purpose in FOLDERS.items():
        rows = [f"## {folder}", "", f"{purpose[0].upper()}{purpose[1:]}.", "", "| file | |", "|---|---|"]
        for path in sorted((ROOT / folder).rglob("*.*")):
            name = str(path.relative_to(ROOT / folder)).removesuffix("__init__.py")
            if path.suffix in (".py", ".sh") and name:
                rows.append(f"| `{name}` | {purpose_of(path)} |")
        parts.append("\n".join(rows))
    return "\n\n".join(parts)


def purpose_of(path: Path) -> str:
    """What a file says it is for, in one line."""
    text = path.read_text("utf-8")
    if path.suffix == ".sh":
        said = text.splitlines()[1].removeprefix("#")
    else:
        said = (ast.get_docstring(ast.parse(text)) or "").split("\n\n")[0]
    return " ".join(said.split()).rstrip(".:").replace(" | ", ", ").replace("|", "\\|")


def options_table() -> str:
    """What options are worth in the same time, a table for each budget, from what finished runs came to."""
    lines = [json.loads(line) for line in (DOCS / OPTIONS).read_text("utf-8").splitlines()]
    parts = []
    for preset, by, times in dict.fromkeys((line["preset"], line["by"], line["times"]) for line in lines):
        of = [line for line in lines if (line["preset"], line["by"], line["times"]) == (preset, by, times)]
        runs = {line["option"]: [each for each in of if each["option"] == line["option"]] for line in of}
        share = "" if times == 1 else f", {times:g} times"
        parts.append(f"Within the {UNITS[by]} of the preset `{preset}`{share}:")
        rows = [compare_options.row_of(name, each) for name, each in runs.items()]
        parts.append(compare_options.text(row for row in rows if len(row["runs"]) >= SEEDS))
        rest = sorted((row["swd"], row["option"]) for row in rows if len(row["runs"]) < SEEDS)
        if rest:
            parts.append("With fewer seeds: " + "; ".join(f"{option}: {swd:.1f}" for swd, option in rest) + ".")
    return "\n\n".join(parts)


TABLES: dict[str, tuple[str, Callable[[], str]]] = {
    "settings.md": ("settings", settings_table),
    "source-files.md": ("files", files_table),
    "performance/quality.md": ("options", options_table),
}


def filled(page: str, text: str) -> str:
    """The text of a page of docs/ with its table as the code has it now.

    Raises:
        SystemExit: the page has lost the marks around its table.
    """
    name, table = TABLES[page]
    start, end = f"<!-- {name}: scripts/docs_tables.py -->", f"<!-- end of {name} -->"
    between = re.compile(f"{re.escape(start)}.*?{re.escape(end)}", re.DOTALL)
    text, count = between.subn(lambda _: f"{start}\n\n{table()}\n\n{end}", text)
    if count != 1:
        raise SystemExit(f"docs/{page}: the marks of the table of {name} are gone")
    return text


BAND_WIDTH, BOX_WIDTH, BOX_HEIGHT, GAP, LABEL, A_ROW = 520, 118, 34, 12, 100, 3


def rooms_picture() -> str:
    """The folders and the rooms in them as SVG: who stands higher imports what is below, never the other way."""
    graph = rooms.by_room(rooms.graph())

    top, parts = 0, []
    for folder in (name for name in FOLDERS if name != "scripts"):
        inside = {
            room: {target for target in targets if target in graph and belongs(target, folder)}
            for room, targets in graph.items()
            if belongs(room, folder)
        }
        levels = rooms.floors(inside)
        floors = [sorted(room for room in inside if levels[room] == floor) for floor in set(levels.values())]
        rows = [
            row[at : at + A_ROW]
            for row in sorted(floors, key=lambda row: -levels[row[0]])
            for at in range(0, len(row), A_ROW)
        ]
        height = GAP + len(rows) * (BOX_HEIGHT + GAP)
        if top:
            parts.append(f'<path class="arrow" d="M{LABEL / 2} {top - 22}v14"/>')
        parts.append(f'<rect class="band {folder}" y="{top}" width="{BAND_WIDTH}" height="{height}" rx="8"/>')
        parts.append(f'<text class="folder" x="{LABEL / 2}" y="{top + height / 2 + 5}">{folder}</text>')
        parts += boxes(rows, top)
        top += height + 24
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{BAND_WIDTH + 4}" '
        f'viewBox="-2 -2 {BAND_WIDTH + 4} {top - 20}" role="img" '
        f'aria-label="wgan imports export, export imports training, training imports serve">\n'
        "<style>"
        "text{font:13px system-ui,sans-serif;text-anchor:middle;fill:#1c2333}"
        ".folder{font-weight:700;font-size:15px}.band{stroke:#8891a8}.box{fill:#fff;stroke:#8891a8}"
        ".wgan{fill:#e8defa}.export{fill:#fde3cf}.training{fill:#d8ecd9}.serve{fill:#d6e6fb}"
        ".arrow{stroke:#8891a8;stroke-width:2;marker-end:url(#head)}"
        "</style>\n"
        '<defs><marker id="head" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="5" markerHeight="5" orient="auto">'
        '<path d="M0 0L8 4L0 8z" fill="#8891a8"/></marker></defs>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def belongs(room: str, folder: str) -> bool:
    """Whether a room of the import graph lies in a folder, which itself is none."""
    parts = room.split(".")
    of = parts[1] if len(parts) > 1 and parts[1] in FOLDERS else "wgan"
    return of == folder and room not in ("wgan", f"wgan.{folder}")


def boxes(rows: list[list[str]], top: float) -> Iterator[str]:
    """A box with a name for each room, a row a floor."""
    for number, row in enumerate(rows):
        y = top + GAP + number * (BOX_HEIGHT + GAP)
        width = len(row) * BOX_WIDTH + (len(row) - 1) * GAP
        left = LABEL + (BAND_WIDTH - LABEL - GAP - width) / 2
        for place, room in enumerate(row):
            x = left + place * (BOX_WIDTH + GAP)
            name = html.escape(room.rpartition(".")[2])
            yield f'<rect class="box" x="{x:g}" y="{y:g}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="5"/>'
            yield f'<text x="{x + BOX_WIDTH / 2:g}" y="{y + BOX_HEIGHT / 2 + 5:g}">{name}</text>'


def wanted() -> dict[Path, str]:
    """Each file with a part that the code knows, and what it should hold."""
    pages = {DOCS / page: filled(page, (DOCS / page).read_text("utf-8")) for page in TABLES}
    return {**pages, DOCS / "rooms.svg": rooms_picture()}


def main() -> None:
    """Writes what has changed, or with `--check` names it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if a file would change")
    check = parser.parse_args().check
    stale = {path: text for path, text in wanted().items() if not path.exists() or path.read_text("utf-8") != text}
    for path, text in stale.items():
        if check:
            print(f"{path.relative_to(ROOT)} is not as the code has it: run `python scripts/docs_tables.py`")
        else:
            path.write_text(text, "utf-8")
    sys.exit(bool(check and stale))


if __name__ == "__main__":
    main()
