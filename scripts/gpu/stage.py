"""One stage, in a process of its own: `python -m gpu.stage REQUEST`. Rows go to stdout, all else to stderr."""

import importlib
import json
import os
import signal
import sys
import warnings

from gpu.rows import WHOLE, Here, Request

OURS = ("", "gpu", "wgan", "tests", "bench_shared", "bench_training")  # what is missing of these is a fault


def main(text: str) -> None:
    """Runs the stage that the request names."""
    # rows have stdout for themselves: what libraries and processes of the stage print goes to the log
    rows = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # temporary folders go with it
    warnings.simplefilter("ignore")
    request = Request(**json.loads(text))
    here = Here(request, rows)
    try:
        importlib.import_module(f"gpu.{request.stage}").run(here)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in OURS:
            raise
        here.not_run(WHOLE, f"{package} is not installed")


if __name__ == "__main__":
    main(sys.argv[1])
