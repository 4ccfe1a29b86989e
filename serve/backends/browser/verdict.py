"""Whether there is a browser here that can be driven."""

import subprocess

from wgan.serve.backends.browser.found import MEND, find_browser, no_browser
from wgan.serve.machine.gpu import Driver
from wgan.serve.machine.requirements import Gap

SECONDS = 20.0


def verdict(_device: str, _driver: Driver | None) -> str | Gap:
    """The browser that runs exported pages, always on the CPU; or what keeps it from running."""
    if (why := no_browser()) is not None:
        return Gap(why, MEND)
    program = str(find_browser())
    try:
        told = subprocess.run(
            [program, "--version"], stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=True
        )
        words = told.stdout.decode("utf-8", "replace").split(" built on ")[0].split()
    except (OSError, subprocess.SubprocessError):
        return Gap(f"{program} does not tell its version", MEND)
    return " ".join(words)[:80] or program
