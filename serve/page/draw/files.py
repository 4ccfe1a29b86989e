"""The page to draw with, as its two places need it: one document of a server, or the files of an exported folder."""

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from typing import Literal

from wgan.serve.page import style

Source = Literal["server", "browser"]

STATIC = Path(__file__).parent / "static"
_SHARED = Path(style.__file__).parent
_STYLES: dict[Source, tuple[str, ...]] = {"server": ("page",), "browser": ("page", "browser")}
_BEFORE = ("images", "address")  # scripts, in the order in which they run
_SOURCES: dict[Source, tuple[str, ...]] = {
    "server": ("server", "served"),
    "browser": ("trouble", "keep", "engine", "engines", "png", "browser"),
}
_AFTER = ("model", "controls", "gallery", "large", "way", "page")


# What an exported page may do: run its own scripts and speak to its own folder. A worker from a file of its own is
# under no policy of the page; where a browser holds it to one, it compiles the runtime. `trusted-types` has one name,
# by which the addresses of the two scripts are vouched for that the page starts.
POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self' 'wasm-unsafe-eval'",
        "worker-src 'self'",
        "connect-src 'self'",
        "img-src blob:",
        "style-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types wgan",
    ]
)


def served() -> str:
    """One document for a server, its style sheet and its script inside."""
    return document("server", style=style_sheet("server"), script=script("server"))


def exported() -> dict[str, str]:
    """The page's files in an exported folder, by name. What draws lies beside them: `worker.js` and what it loads.

    The page names the worker's modules, so that they come together and not one after another: at 60 ms a request the
    first image is there 0.3 s sooner. The runtime and the generator so named would be downloaded twice.
    """
    return {
        "index.html": document("browser", policy=POLICY),
        "page.css": style_sheet("browser"),
        "page.js": script("browser"),
    }


def service_worker(files: Mapping[str, str], later: Collection[str] = ()) -> str:
    """The text of `sw.js`, which keeps the folder for use without a network, as one version.

    Args:
        files: SHA-256 (hex) of every other file of the folder, by its path there.
        later: those of them that are kept only once they are used.
    """
    listed = {"files": dict(sorted(files.items())), "later": sorted(later)}
    kept = {"version": hashlib.sha256(json.dumps(listed).encode()).hexdigest()[:16], **listed}
    return (STATIC / "sw.js").read_text("utf-8").replace("{{kept}}", json.dumps(kept, indent=1))


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
    return _joined((_SHARED / "base.css", *(STATIC / f"{name}.css" for name in _STYLES[source])))


def _joined(files: tuple[Path, ...]) -> str:
    return "\n" + "\n".join(file.read_text("utf-8").strip() for file in files) + "\n"
