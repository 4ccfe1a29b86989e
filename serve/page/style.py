"""The page around its sections: document, style sheet, scripts, and a policy that lets it load nothing.

Scripts run by their digests alone: no other text of the page is ever run, whatever slips into it.
"""

import base64
import hashlib
from functools import cache
from pathlib import Path

_HERE = Path(__file__).parent
_STYLES = ("base.css", "page.css", "controls.css")
_SCRIPTS = ("element.js", "page.js", "charts.js", "slider.js")  # ours, in the order in which they run
_LIBRARY = "uplot"


def page(title: str, body: str) -> str:
    """A whole document. ``title`` and ``body`` are markup already."""
    scripts = _scripts()
    digests = " ".join(f"'sha256-{digest(script)}'" for script in scripts)
    # even markup that slipped through could load and run nothing
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {digests}"
    behind = "".join(f"<script>{script}</script>\n" for script in scripts)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{css()}</style>\n</head>\n<body>\n{body}{behind}</body>\n</html>\n"
    )


def digest(script: str) -> str:
    """Of a script's text, as a policy names it."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


@cache
def css() -> str:
    """The style sheet, the charting library's own first."""
    sheets = (_HERE / _LIBRARY / "uPlot.min.css", *(_HERE / name for name in _STYLES))
    return "\n".join(sheet.read_text("utf-8").strip() for sheet in sheets) + "\n"


@cache
def _scripts() -> tuple[str, ...]:
    """The charting library under its licence, then ours; the last sets the page's attribute `data-live`."""
    library = (_HERE / _LIBRARY / "uPlot.iife.min.js").read_text("utf-8").strip()
    licence = (_HERE / _LIBRARY / "LICENSE").read_text("utf-8").strip()
    return (f"/*! {licence} */\n{library}", *((_HERE / name).read_text("utf-8") for name in _SCRIPTS))
