"""Writes the README's tables of settings and of files from the code: `python scripts/readme_tables.py`."""

import ast
import re
from pathlib import Path

from wgan.training.config import FIELDS

ROOT = Path(__file__).parents[1]
ROOMS = {
    "wgan": "the face: the command line",
    "serve": "the only part that a deployed machine needs; never loads torch by itself",
    "training": "images into a checkpoint",
    "export": "a checkpoint into artifacts, each proven",
    "scripts": "what is run from a checkout",
}


def settings_table() -> str:
    """One row a setting: name, default, range, meaning."""
    rows = ["| setting | default | range | |", "|---|---|---|---|"]
    for name, field in FIELDS.items():
        low, high, choices = (field.metadata[key] for key in ("low", "high", "choices"))
        bounds = ", ".join(map(str, choices)) or ("" if low is None else f"{low:,} to {high:,}")
        default = str(field.default).lower() if field.type is bool else field.default
        rows.append(f"| `{name}` | {default} | {bounds} | {field.metadata['help']} |")
    return "\n".join(rows)


def files_table() -> str:
    """One row a file: its name, and the first line of its docstring or leading comment."""
    parts = []
    for room, purpose in ROOMS.items():
        rows = [f"**`{room}/`**: {purpose}.", "", "| file | |", "|---|---|"]
        for path in sorted((ROOT / room).rglob("*.*")):
            name = str(path.relative_to(ROOT / room)).removesuffix("__init__.py")
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
    return " ".join(said.split()).rstrip(".:").replace("|", "\\|")


def filled(readme: str) -> str:
    """The README with both tables as the code has them now."""
    for name, table in (("settings", settings_table()), ("files", files_table())):
        marks = f"<!-- {name}: scripts/readme_tables.py -->", f"<!-- end of {name} -->"
        pattern = re.compile(f"{re.escape(marks[0])}.*?{re.escape(marks[1])}", re.DOTALL)
        readme, count = pattern.subn(lambda _, t=table, m=marks: f"{m[0]}\n{t}\n{m[1]}", readme)  # type: ignore[misc]
        if count != 1:
            raise SystemExit(f"README.md: the marks of the table of {name} are gone")
    return readme


if __name__ == "__main__":
    path = ROOT / "README.md"
    path.write_text(filled(path.read_text("utf-8")), "utf-8")
