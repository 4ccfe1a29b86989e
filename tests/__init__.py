"""The suite. Its processes wait for each other as those of the commands do, and share the cores."""

import os
import warnings
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from wgan.serve.machine.cores import spin_briefly, usable_cores


def share_cores() -> None:
    """Holds torch's threads to a worker's part of the cores; the processes that a test starts inherit that.

    Only before torch is loaded; what the user has set stays.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if workers > 1:
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, usable_cores() // workers)))


ROOT = Path(__file__).parents[1]  # of the checkout

spin_briefly()
share_cores()

# torch's compiler needs setuptools, which refuses to work once anything has imported Python's own distutils
with warnings.catch_warnings(), suppress(ImportError):
    warnings.simplefilter("ignore")
    import_module("setuptools")
