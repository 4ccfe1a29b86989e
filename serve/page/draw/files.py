"""The page to draw with, as its two places need it: one document of a server, or the files of an exported folder."""

import re
from functools import cache
from pathlib import Path
from typing import Literal

from wgan.serve.page import style

Source = Literal["server", "browser"]

STATIC = Path(__file__).parent / "static"
_SHARED = Path(style.__file__).parent
_STYLES = (_SHARED / "base.css", STATIC / "page.css")
_BEFORE = ("images", "address")  # scripts, in the order in which they run
_SOURCES: dict[Source, tuple[str, ...]] = {"server": ("server", "served"), "browser": ()}
_AFTER = ("model", "controls", "gallery", "large", "way", "page")


def served() -> str:
    """One document for a server, its style sheet and its script inside."""
    return document("server", style=style_sheet("server"), script=script("server"))


@cache
def document(source: Source, **inside: str) -> str:
    """The page's markup: what both kinds have, and between `<!--KIND-->` and `<!--/KIND-->` what one of them has.

    ``inside`` takes the places of their `{{names}}`.
    """
    other = "browser" if source == "server" else "server"
    text = (STATIC / "page.html").read_text("utf-8")
    text = re.sub(f"<!--{other}-->.*?<!--/{other}-->\n?", "", text, flags=re.DOTALL)
    text = re.sub(f"<!--/?{source}-->\n?", "", text)
    return re.sub(r"\{\{(\w+)\}\}", lambda place: inside[place[1]], text)


@cache
def script(source: Source) -> str:
    """All that runs in the page."""
    names = (*_BEFORE, *_SOURCES[source], *_AFTER)
    return _joined((_SHARED / "element.js", *(STATIC / f"{name}.js" for name in names)))


@cache
def style_sheet(source: Source) -> str:
    """The style sheet."""
    return _joined(_STYLES)


def _joined(files: tuple[Path, ...]) -> str:
    return "\n" + "\n".join(file.read_text("utf-8").strip() for file in files) + "\n"
