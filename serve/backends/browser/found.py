"""Which browser can be driven here."""

import os
import shutil
from pathlib import Path

VARIABLE = "WGAN_BROWSER"  # names the browser, by its path or as it is called
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge", "msedge")
APPLICATIONS = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
)
MEND = f"install Chromium, or name another browser of its kind by the variable {VARIABLE}"


def find_browser() -> str | None:
    """The path of a browser that can be driven; None where there is none."""
    if named := os.environ.get(VARIABLE):
        return shutil.which(named)
    found = (shutil.which(name) for name in NAMES)
    return next((path for path in found if path), None) or next(
        (path for path in APPLICATIONS if Path(path).is_file()), None
    )


def no_browser() -> str | None:
    """Why no browser can be driven here; None where one can."""
    if not hasattr(os, "posix_spawn"):
        return "a browser is driven on Linux and macOS alone"
    if find_browser() is not None:
        return None
    named = os.environ.get(VARIABLE)
    return f"{VARIABLE}={named} is no program" if named else "no Chromium, Chrome or Edge was found"
